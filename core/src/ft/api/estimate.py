"""What a training step will need, before any weight is loaded: what ``ft plan`` works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of a device.

    ``memory`` in bytes; ``rate`` and ``float8_rate`` in dense floating-point operations a second
    that large bfloat16 and float8 products really reach (``float8_rate`` is 0 without such
    units); ``bandwidth`` in bytes a second.
    """

    name: str
    type: str
    memory: float
    rate: float
    bandwidth: float
    float8_rate: float = 0.0


@dataclass(slots=True)
class Estimate:
    """One way to take a step, which plugins change in :func:`ft_estimate`.

    ``model`` is the adapted model in full shape and without values (fake tensors on the CPU): a
    kernel that puts other operations into it does so here as well, and what they keep is counted.
    Whatever cannot run without values or without the device is said by the other fields.
    """

    model: nn.Module
    device: Device
    dense_mask: bool = True
    """Whether packed documents are kept apart by a mask, of a byte and more for each pair."""
    keeps_wide: bool = True
    """Whether layers keep what they computed in float32; a compiler makes it again."""
    kept: float = 1.0
    """Share of what else layers keep that is left, where a compiler makes some of it again."""
    inputs_away: bool = False
    """Whether the inputs of recomputed layers wait elsewhere: two are on the device at once."""
    traffic: float = 1.0
    """Share of the reads and writes between products that is left."""
    loss_bytes: float | None = None
    """The most bytes of logits that are there at once; unset: all, as core computes them."""
    extra_bits: float = 0.0
    """Bits of each quantized weight beside :meth:`Quantizer.bits_per_weight`."""
    frozen_rate: float | None = None
    """Operations a second of the frozen products; unset: those of the device."""
    silent: list[str] = field(default_factory=list)
    """Kernels that say nothing of what they change: their effect is not in the estimate."""
