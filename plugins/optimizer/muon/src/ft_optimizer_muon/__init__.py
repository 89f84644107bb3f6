"""Muon (Jordan et al., 2024) in the scaled form of Liu et al., 2025 (arXiv:2502.16982)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Muon(Optimizer):
    """Steps along the nearest orthogonal matrix of the momentum; AdamW for what is no matrix.

    For training all weights, where it needs fewer steps than AdamW and half of its memory.
    Updates of matrices are scaled to the RMS of AdamW's, so that one learning rate and one
    weight decay do for both, and what suits AdamW suits it. Embeddings, the output layer, norms
    and biases are AdamW's. Experts that lie in one tensor are made orthogonal one by one.
    """

    paper = "arXiv:2502.16982"

    class Options(OptimizerOptions):
        momentum: float = Field(0.95, ge=0, lt=1, description="decay of the momentum of matrices")
        nesterov: bool = Field(True, description="look ahead along the momentum")
        iterations: int = Field(
            5, ge=1, le=20, description="Newton-Schulz iterations towards an orthogonal matrix"
        )
        betas: tuple[float, float] = Field(
            (0.9, 0.999), description="decay of AdamW's two moments, where there is no matrix"
        )
        epsilon: float = Field(1e-8, gt=0, description="added to AdamW's denominator")

    def bytes_per_parameter(self) -> float:
        return 4.0  # one momentum in float32

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_muon.update import MuonAndAdamW

        options = self.options
        return MuonAndAdamW(
            self.groups_by_matrix(run, orthogonal=True),
            lr=options.learning_rate,
            orthogonal=False,
            momentum=options.momentum,
            nesterov=options.nesterov,
            iterations=options.iterations,
            betas=options.betas,
            epsilon=options.epsilon,
        )


optimizer = Muon()
