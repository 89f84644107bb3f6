"""AdamW of bitsandbytes: in 8 bits (Dettmers et al., 2022, arXiv:2110.02861), and paged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ft.api import Field, LayerwiseOptimizer, LayerwiseOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class AdamW8bit(LayerwiseOptimizer):
    """AdamW whose moments have 8 bits, with a scale for each 256 of them.

    For a quarter of AdamW's memory at its quality. Tensors of less than 4,096 numbers and
    embeddings, whose gradients are uneven, keep moments of 32 bits.

    With ``layerwise`` each gradient is used in the backward pass and freed: the memory of
    gradients goes too, and with it accumulation, clipping by norm and more than one process.
    """

    paper = "arXiv:2110.02861"

    class Options(LayerwiseOptions):
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    samples = ({}, {"layerwise": True})

    bits: ClassVar[int] = 8
    is_paged: ClassVar[bool] = False

    def bytes_per_parameter(self) -> float:
        return 8.0 if self.bits == 32 else 2 * (1 + 4 / 256)

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from torch import nn

        from ft_optimizer_adamw_8bit.library import AdamWOfBits

        embeddings = {
            id(module.weight) for module in run.model.modules() if isinstance(module, nn.Embedding)
        }
        groups: list[dict] = []
        for group in self.parameter_groups(run):
            by_bits: dict[int, list] = {}
            for parameter in group["params"]:
                bits = 32 if id(parameter) in embeddings else self.bits
                by_bits.setdefault(bits, []).append(parameter)
            groups += [
                {**group, "params": params, "bits": bits} for bits, params in by_bits.items()
            ]
        return AdamWOfBits(
            groups,
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
            # a CPU's memory has nowhere to go
            is_paged=self.is_paged and run.device.type != "cpu",
            in_backward=self.options.layerwise,
        )


class PagedAdamW(AdamW8bit):
    """AdamW whose moments move to the host's memory while the accelerator has no room for them.

    For peaks of memory, as long sequences bring them: pages leave when an allocation needs the
    room, and come back for the step. On a CPU it is plain AdamW.
    """

    paper = "arXiv:2305.14314"
    bits = 32
    is_paged = True


class PagedAdamW8bit(AdamW8bit):
    """AdamW whose moments have 8 bits, and move to the host's memory where room is short.

    Both of ``adamw-8bit`` and ``paged-adamw``: what QLoRA trains with.
    """

    paper = "arXiv:2305.14314"
    is_paged = True


optimizer = AdamW8bit()
paged = PagedAdamW()
paged_8bit = PagedAdamW8bit()
