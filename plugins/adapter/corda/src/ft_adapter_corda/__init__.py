"""CorDA (Yang et al., 2024, arXiv:2406.05223)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Field, Run
from ft_adapter_lora import Lora, StartedLayer, StartedLora, look_at_inputs, split

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor


class Corda(StartedLora):
    """CorDA: LoRA whose factors start as a part of each weight that its inputs choose.

    With C the covariance of a layer's inputs on the run's data, W C is divided into singular
    values. The largest are what the data uses most: ``adapt`` trains them. The smallest are
    what it hardly uses: ``keep`` trains those, on data that stands for what is to be kept. What
    the factors hold is taken out of the frozen weight. The result is saved as a plain LoRA of
    twice the rank, which any library puts on the unchanged base.
    """

    paper = "arXiv:2406.05223"
    samples = ({"rank": 8},)

    class Options(Lora.Options):
        mode: Literal["adapt", "keep"] = Field(
            "adapt",
            description="adapt: train what the data uses most (the paper's instruction-previewed "
            "mode); keep: what it uses least (knowledge-preserved)",
        )
        sequences: int = Field(256, gt=0, description="sequences of the data to measure inputs on")

    def measure(self, run: Run, model: PeftModel, layers: list[StartedLayer]) -> dict[str, Tensor]:
        """The mean of x x^T over real tokens, for the inputs x of each layer, in float32."""
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}

        def add(name: str, x: Tensor) -> None:
            sums[name] = sums.get(name, 0) + x.T @ x
            counts[name] = counts.get(name, 0) + len(x)

        bases = {layer.name: layer.base for layer in layers}
        look_at_inputs(run, model, bases, self.options.sequences, add)
        return {name: total / counts[name] for name, total in sums.items()}

    def factors(self, layer: StartedLayer, measured: Tensor | None) -> tuple[Tensor, Tensor]:
        import torch

        weight = layer.weight()
        # an expert that no token reached counts as one with inputs of all directions
        covariance = torch.eye(weight.shape[1]).to(weight) if measured is None else measured
        # invertible, also where an input is always zero or tokens are few
        covariance.diagonal().add_(0.01 * covariance.diagonal().mean())
        u, s, vt = torch.linalg.svd(weight @ covariance, full_matrices=False)
        rank = layer.rank
        chosen = slice(rank) if self.options.mode == "adapt" else slice(len(s) - rank, None)
        # U S V^T is W C, so that U S (V^T C^-1) is W
        right = torch.linalg.solve(covariance, vt[chosen], left=False)
        return split(u[:, chosen], s[chosen] / layer.scale, right)


adapter = Corda()
