"""DoRA (Liu et al., 2024, arXiv:2402.09353)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Run
from ft_adapter_lora import Lora

if TYPE_CHECKING:
    from torch import nn


class Dora(Lora):
    """DoRA: m (W + s B A) / ||W + s B A||, with a magnitude m for each output.

    LoRA changes the direction of a weight's rows, and m, which starts at the norms of W, their
    length. It comes closer to full fine-tuning than LoRA does at small ranks, and takes about
    half as long again for a step. The norm is taken as a constant in the gradient (section 4.3).
    """

    paper = "arXiv:2402.09353"

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        return super().settings(run, model) | {"use_dora": True}


adapter = Dora()
