"""torchao's AdamW, with learning rates that are numbers, compiled or not."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torchao.optim import AdamW4bit


class PlainRates(AdamW4bit):
    """torchao keeps each learning rate as a tensor; here it is one only during a step.

    So schedules, checkpoints and metrics find a number, as with any other optimizer.
    """

    def __init__(self, groups: list[dict[str, Any]], *, compiled: bool, **settings: Any):
        super().__init__(groups, **settings)
        self._compiled = compiled

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        rate = float(param_group.get("lr", self.defaults["lr"]))
        super().add_param_group(param_group)
        self.param_groups[-1]["lr"] = rate

    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rates = [group["lr"] for group in self.param_groups]
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = torch.tensor(rate, dtype=torch.float32)
        eager = torch.compiler.set_stance("force_eager")
        try:
            with nullcontext() if self._compiled else eager:
                super().step()
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
        return loss
