"""PiSSA (Meng et al., 2024, arXiv:2404.02948)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Field
from ft_adapter_lora import Lora, StartedLayer, StartedLora, split

if TYPE_CHECKING:
    from torch import Tensor


class Pissa(StartedLora):
    """PiSSA: LoRA whose factors start as the largest singular values and vectors of the weight.

    What they hold is taken out of the frozen weight, so that the model starts unchanged and the
    part of it that matters most is what trains. Converges faster than LoRA. The result is saved
    as a plain LoRA of twice the rank, which any library puts on the unchanged base.
    """

    paper = "arXiv:2404.02948"
    samples = ({"rank": 8}, {"rank": 8, "svd": "fast"})

    class Options(Lora.Options):
        svd: Literal["exact", "fast"] = Field(
            "exact", description="how singular values are found; fast: near enough, in seconds"
        )
        iterations: int = Field(
            4, gt=0, description="power iterations of the fast one; 16 is all but exact"
        )

    def factors(self, layer: StartedLayer, measured: Tensor | None) -> tuple[Tensor, Tensor]:
        import torch

        weight, rank = layer.weight(), layer.rank
        if self.options.svd == "exact":
            u, s, vt = torch.linalg.svd(weight, full_matrices=False)
        else:
            # twice as many: the last ones that it finds are the least exact
            many = min(2 * rank, *weight.shape)
            u, s, v = torch.svd_lowrank(weight, many, niter=self.options.iterations)
            vt = v.T
        return split(u[:, :rank], s[:rank] / layer.scale, vt[:rank])


adapter = Pissa()
