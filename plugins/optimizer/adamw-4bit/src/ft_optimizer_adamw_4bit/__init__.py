"""AdamW with 4-bit moments (Li et al., 2023, arXiv:2309.01507), by torchao."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class AdamW4bit(Optimizer):
    """AdamW whose moments have 4 bits, with a scale for each 128 of them.

    For an eighth of AdamW's memory; ``adamw-8bit`` is nearer to AdamW. Tensors of less than
    4,096 numbers keep moments of full width. On an accelerator the step is compiled, which
    takes part of a minute once; on a CPU it is not, and is slow.
    """

    paper = "arXiv:2309.01507"

    class Options(OptimizerOptions):
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")
        stochastic_rounding: bool = Field(
            False, description="round weights in bfloat16 up or down by chance, without a bias"
        )

    def bytes_per_parameter(self) -> float:
        return 2 * (0.5 + 4 / 128)

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_adamw_4bit.library import PlainRates

        return PlainRates(
            self.parameter_groups(run),
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
            weight_decay=0.0,
            bf16_stochastic_round=self.options.stochastic_rounding,
            compiled=run.device.type != "cpu",
        )


optimizer = AdamW4bit()
