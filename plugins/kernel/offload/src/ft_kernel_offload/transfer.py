"""Tensors on their way to CPU memory and back, beside the computation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor


@dataclass(slots=True, weakref_slot=True)
class Waiting:
    """A tensor in CPU memory; ``back`` once its way back has begun, ``done`` at its end.

    ``before`` is the one that went before it, as long as a backward pass will ask for that: a
    pass that was given up takes its tensors with it.
    """

    copy: Tensor
    device: torch.device
    before: Callable[[], Waiting | None]
    back: Tensor | None = None
    done: Any = None


def nothing() -> None:
    """What went before the first."""


class Transfer:
    """Copies on a stream of their own; the backward pass asks in reverse order.

    When a tensor is asked for, the one that went before it is sent for as well, so that it is
    there when its turn comes. Pinned memory is used again for the next tensor of the same form.
    """

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.last: Callable[[], Waiting | None] = nothing
        self.spare: list[Tensor] = []

    def hooks(self, given: Tensor) -> tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]:
        """The two functions that autograd calls for what it saves: ``given`` goes away."""
        place = given.data_ptr(), given.shape

        def pack(tensor: Tensor) -> Any:
            return self.send(tensor) if (tensor.data_ptr(), tensor.shape) == place else tensor

        def unpack(packed: Any) -> Tensor:
            return self.receive(packed) if isinstance(packed, Waiting) else packed

        return pack, unpack

    def send(self, tensor: Tensor) -> Waiting:
        """Begin to copy a tensor to CPU memory."""
        copy = self._memory(tensor)
        if self.stream is None:
            copy.copy_(tensor)
        else:
            self.stream.wait_stream(torch.cuda.current_stream(tensor.device))
            with torch.cuda.stream(self.stream):
                copy.copy_(tensor, non_blocking=True)
            # its memory is not given to others before it is copied
            tensor.record_stream(self.stream)
        waiting = Waiting(copy, tensor.device, self.last)
        self.last = ref(waiting)
        return waiting

    def receive(self, waiting: Waiting) -> Tensor:
        """The tensor, on its device again."""
        self._send_for(waiting)
        found = waiting.back
        assert found is not None
        if self.stream is not None:
            current = torch.cuda.current_stream(waiting.device)
            current.wait_event(waiting.done)
            found.record_stream(current)
        if (before := waiting.before()) is not None:
            self._send_for(before)
        self.last, waiting.back = waiting.before, None
        self.spare.append(waiting.copy)
        return found

    def _send_for(self, waiting: Waiting) -> None:
        if waiting.back is not None:
            return
        if self.stream is None:
            waiting.back = waiting.copy.clone()
            return
        with torch.cuda.stream(self.stream):
            waiting.back = waiting.copy.to(waiting.device, non_blocking=True)
            waiting.done = self.stream.record_event()

    def _memory(self, tensor: Tensor) -> Tensor:
        for number, spare in enumerate(self.spare):
            if spare.shape == tensor.shape and spare.dtype == tensor.dtype:
                return self.spare.pop(number)
        pinned = self.stream is not None
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pinned)
