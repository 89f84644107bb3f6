"""The type of matrix products while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch.amp import GradScaler

    from ft.api import Run


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The type of matrix products while training."""
    import torch

    if wanted != "auto":
        if wanted == "float16" and device.type == "cpu":
            raise InputError(
                "precision float16 needs an accelerator", hint="set trainer.precision: auto"
            )
        return getattr(torch, wanted)
    if device.type == "cpu":
        # without AVX512-BF16 or AMX, bfloat16 products are emulated and slower than float32
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def make_scaler(run: Run, precision: torch.dtype) -> GradScaler:
    """Scales the loss in float16, where small gradients would vanish; passes on otherwise.

    Raises :class:`InputError` with an optimizer that takes its gradients inside the backward
    pass, before their scale is taken out of them.
    """
    import torch
    from torch.amp import GradScaler

    scales = precision == torch.float16
    for optimizer in run.parts("optimizer") if scales else ():
        if "gradient-clipping" not in optimizer.capabilities().accepts:
            raise InputError(
                f"{optimizer!r} takes gradients inside the backward pass, where those of float16 "
                "still have the scale of the loss",
                hint="set trainer.precision: bfloat16 or float32",
            )
    return GradScaler(run.device.type, enabled=scales)
