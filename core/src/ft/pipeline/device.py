"""The device, the types of weights and products, and the seed of a run."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from ft.errors import InputError

if TYPE_CHECKING:
    import torch

    from ft.api import Run


def choose_device(wanted: str) -> torch.device:
    """The device for ``auto``, or the wanted one.

    Raises :class:`InputError` where this machine does not have it.
    """
    import torch

    if wanted == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InputError(
            f"there is no device {wanted!r}", hint="set device: auto, cpu, cuda, cuda:1 or mps"
        ) from error
    if device.type != "cpu" and not (
        torch.accelerator.is_available()
        and torch.accelerator.current_accelerator().type == device.type  # type: ignore[union-attr]
    ):
        raise InputError(
            f"this machine has no {device.type} device that torch {torch.__version__} can use",
            hint="set device: auto, or look at `ft env`",
        )
    if device.type != "cpu" and (device.index or 0) >= torch.accelerator.device_count():
        raise InputError(
            f"this machine has no {device}: it has {torch.accelerator.device_count()} of them, "
            "counted from 0",
            hint="set device: auto, or look at `ft env`",
        )
    return device


def choose_weight_dtype(run: Run) -> torch.dtype:
    """The type that weights are loaded in.

    ``auto``: float32 on a CPU and wherever the base weights themselves train, since small
    updates vanish in bfloat16's 8 bits; bfloat16 on an accelerator for a frozen base, and
    where nothing trains because no trainer is selected.
    """
    import torch

    wanted = run.family.options.dtype
    if wanted != "auto":
        return getattr(torch, wanted)
    frozen = any("frozen-base" in p.capabilities().provides for p in run.parts("adapter"))
    trains = run.part("trainer") is not None and not frozen
    return torch.float32 if trains or run.device.type == "cpu" else torch.bfloat16


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch, on all devices."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
