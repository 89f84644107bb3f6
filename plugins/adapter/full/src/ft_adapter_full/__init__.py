"""Full fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Adapter, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Full(Adapter):
    """Every parameter trains; the result is a whole model."""

    @hookimpl
    def ft_adapt_model(self, model: nn.Module) -> nn.Module:
        return model.requires_grad_(True)


adapter = Full()
