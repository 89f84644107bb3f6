"""LoRA+ (Hayou et al., 2024, arXiv:2402.12354)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, InputError, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class LoraPlus(Optimizer):
    """AdamW that moves LoRA's B, which starts at zero, with a higher learning rate than its A.

    For LoRA and its kin: with one rate for both, wide models learn features of A and B at
    different speeds. ``learning_rate`` is that of A and of all else; B has ``ratio`` times it.
    """

    paper = "arXiv:2402.12354"
    needs = frozenset({"low-rank-factors"})

    class Options(OptimizerOptions):
        ratio: float = Field(16.0, ge=1, description="learning rate of B over that of A")
        embedding_ratio: float = Field(
            1.0, gt=0, description="learning rate of both factors of embeddings over that of A"
        )
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    def bytes_per_parameter(self) -> float:
        return 8.0  # two moments in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        import torch

        names = {id(parameter): name for name, parameter in run.trainable()}
        groups: list[dict] = []
        for group in self.parameter_groups(run):
            by_ratio: dict[float, list] = {}
            for parameter in group["params"]:
                by_ratio.setdefault(self.ratio_of(names[id(parameter)]), []).append(parameter)
            groups += [
                {**group, "params": params, "lr": self.options.learning_rate * ratio}
                for ratio, params in by_ratio.items()
            ]
        adapter = run.part("adapter")
        if adapter is not None and not any("lora_B" in name for name in names.values()):
            raise InputError(
                f"{adapter!r} trains no B of a LoRA, whose learning rate could be raised",
                hint="choose adapter: lora or another with factors A and B, or optimizer: adamw",
            )
        return torch.optim.AdamW(
            groups,
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
            fused=True,
        )

    def ratio_of(self, name: str) -> float:
        """The learning rate of a parameter over ``learning_rate``."""
        if "lora_embedding_" in name:
            return self.options.embedding_ratio
        return self.options.ratio if "lora_B" in name else 1.0


optimizer = LoraPlus()
