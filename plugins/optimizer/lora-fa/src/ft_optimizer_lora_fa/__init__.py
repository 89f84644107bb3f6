"""LoRA-FA's optimizer (Zhang et al., 2023, arXiv:2308.03303)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch
    from torch import nn


class LoraFa(Optimizer):
    """AdamW that moves the B of a LoRA so that the update is as near as can be to full gradients.

    For LoRA and its kin, whose A is frozen here. Of a weight with gradient G, the update s B A
    can follow what lies in the rows of A alone; B's own gradient s G A^T weighs these rows by
    their lengths. Corrected to (1 / s^2) (s G A^T) (A A^T)^-1, s B A moves along the projection
    of G. What else trains is left to plain AdamW. With adapter ``lora-fa`` A is frozen from the
    start and takes no memory for a gradient; with another LoRA it stays where it began.
    """

    paper = "arXiv:2308.03303"
    needs = frozenset({"low-rank-factors"})
    # what it freezes is known only after a backend has wrapped the model
    accepts = Optimizer.accepts - {"data-parallel"}
    provides = Optimizer.provides - {"whole-gradients"}

    class Options(OptimizerOptions):
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    def bytes_per_parameter(self) -> float:
        return 8.0  # two moments in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_lora_fa.update import Factor, LoraFaAdamW

        trained = {id(parameter) for _, parameter in run.trainable()}
        factors: dict[nn.Parameter, Factor] = {}
        for module in run.model.modules():
            for b, factor in _factors(module):
                if id(b) in trained:
                    factor.a.requires_grad_(False)
                    factors[b] = factor
        adapter = run.part("adapter")
        if adapter is not None and not factors:
            raise InputError(
                f"{adapter!r} trains no B of a LoRA, whose gradient could be corrected",
                hint="choose adapter: lora-fa or another with factors A and B, or optimizer: adamw",
            )
        frozen = {id(factor.a) for factor in factors.values()}
        groups = [
            {**group, "params": [p for p in group["params"] if id(p) not in frozen]}
            for group in self.parameter_groups(run)
        ]
        return LoraFaAdamW(
            [group for group in groups if group["params"]],
            factors,
            lr=self.options.learning_rate,
            betas=self.options.betas,
            eps=self.options.epsilon,
        )


def _factors(module: Any) -> Any:
    """B, and A with the scale, of each LoRA on a linear layer; experts in one tensor have none."""
    from ft_optimizer_lora_fa.update import Factor

    downs = getattr(module, "lora_A", None) or {}
    for name in downs:
        a, b = getattr(downs[name], "weight", None), getattr(module.lora_B[name], "weight", None)
        if a is not None and a.dim() == 2 and len(a) == module.r[name]:
            yield b, Factor(a, float(module.scaling[name]))


optimizer = LoraFa()
