"""AdamW on corrected gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

DAMPING = 1e-8
"""Added to the diagonal of A A^T."""


@dataclass(slots=True)
class Factor:
    """The A (rank, in) that belongs to a B, and s of the update s B A."""

    a: nn.Parameter
    scale: float
    inverse: Tensor | None = None

    def corrected(self, gradient: Tensor) -> Tensor:
        """(1 / s^2) g (A A^T)^-1 for the gradient g (out, rank) of B."""
        if self.inverse is None:  # not earlier: a checkpoint may put another A in place
            a = self.a.detach().float()
            damped = a @ a.T + DAMPING * torch.eye(len(a), device=a.device)
            self.inverse = torch.linalg.pinv(damped, hermitian=True) / self.scale**2
        return (gradient.float() @ self.inverse).to(gradient.dtype)


class LoraFaAdamW(torch.optim.AdamW):
    """Corrects the gradient of each B in place before it steps."""

    def __init__(self, params: Any, factors: Mapping[nn.Parameter, Factor], **settings: Any):
        super().__init__(params, fused=True, **settings)
        self.factors = factors

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for b, factor in self.factors.items():
            if b.grad is not None:
                b.grad.copy_(factor.corrected(b.grad))
        super().step()
        return loss
