"""The reference optimizer: torch's Adam with decoupled decay."""

from __future__ import annotations

from typing import Any

from ft.api import Optimizer, Run, hookimpl


class Reference(Optimizer):
    """Two moments for each parameter."""

    def bytes_per_parameter(self) -> float:
        return 8.0

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> Any:
        import torch

        return torch.optim.AdamW(self.parameter_groups(run), lr=self.options.learning_rate)


optimizer = Reference()
