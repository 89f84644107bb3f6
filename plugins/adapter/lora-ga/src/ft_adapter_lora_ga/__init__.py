"""LoRA-GA (Wang et al., 2024, arXiv:2407.05000)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Run
from ft_adapter_lora import Lora, StartedLayer, StartedLora

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor


class LoraGa(StartedLora):
    """LoRA-GA: LoRA whose first step goes where that of full fine-tuning would.

    A starts as the first right singular vectors of the loss's gradient by each weight, on the
    run's data, and B as the left ones behind them (equation 13). What they hold is taken out of
    the frozen weight, so that the model starts unchanged. The result is saved as a plain LoRA
    of twice the rank, which any library puts on the unchanged base.
    """

    paper = "arXiv:2407.05000"
    samples = ({"rank": 8},)

    class Options(Lora.Options):
        sequences: int = Field(64, gt=0, description="sequences of the data to take gradients of")
        stable: float = Field(
            16.0, gt=0, description="gamma: the larger it is, the smaller the factors start"
        )

    def largest_rank(self, inputs: int, outputs: int) -> int:
        return min(inputs, outputs) // 2  # the left singular vectors are the second ones

    def measure(self, run: Run, model: PeftModel, layers: list[StartedLayer]) -> dict[str, Tensor]:
        """The gradient of the loss by each weight (out, in), in float32 and in main memory."""
        import torch

        sums: dict[str, Tensor] = {}

        def take(layer: StartedLayer, weight: Any) -> None:
            gradient = layer.turned(weight.grad).float().cpu()
            sums[layer.name] = sums.get(layer.name, 0) + gradient
            weight.grad = None  # one at a time: all of them are as large as the model

        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        hooks = []
        for parameter in trained:
            parameter.requires_grad_(False)
        for layer in layers:
            weight = layer.base.weight.requires_grad_(True)
            hooks.append(weight.register_post_accumulate_grad_hook(partial(take, layer)))
        with torch.enable_grad():
            for batch in run.first_batches(self.options.sequences):
                found = run.token_losses(model, batch)
                (found.losses * found.weights).sum().backward()
        for hook, layer in zip(hooks, layers, strict=True):
            hook.remove()
            layer.base.weight.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)
        if not sums:
            raise InputError("adapter lora-ga starts from the run's data, and there is none")
        return sums

    def factors(self, layer: StartedLayer, measured: Tensor | None) -> tuple[Tensor, Tensor]:
        import torch

        weight, rank = layer.weight(), layer.rank
        # an expert that no token reached has no gradient, and starts anywhere
        gradient = torch.randn_like(weight) if measured is None else measured.to(weight)
        u, _, v = torch.svd_lowrank(gradient, min(4 * rank, *gradient.shape), niter=4)
        size = len(weight) ** 0.25 / self.options.stable**0.5
        return size * u[:, rank : 2 * rank], size * v.T[:rank]


adapter = LoraGa()
