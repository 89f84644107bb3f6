"""Bytes of tensors that are alive while a program runs without values."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tracker(TorchDispatchMode):
    """Counts the storages that operations make, and notices when the last tensor of one goes.

    ``now`` and ``peak`` are bytes; ``written`` are the bytes of all that was made; ``wide`` those
    of float32 alone among what is alive; ``calls`` are the operations so far.
    """

    def __init__(self, known: Sequence[Tensor]):
        super().__init__()
        self.alive: dict[int, weakref.ref[Any]] = {}
        self.now = self.peak = self.written = self.wide = self.calls = 0
        for tensor in known:
            self.see(tensor, count=False)

    def see(self, tensor: Tensor, *, count: bool = True) -> None:
        """Count a tensor's storage, unless it was seen before."""
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self.alive:
            return
        size = storage.nbytes() if count else 0
        wide = size if tensor.dtype == torch.float32 else 0
        self.alive[key] = weakref.ref(storage, lambda _: self._gone(key, size, wide))
        self.now += size
        self.wide += wide
        self.written += size
        self.peak = max(self.peak, self.now)

    def _gone(self, key: int, size: int, wide: int) -> None:
        del self.alive[key]
        self.now -= size
        self.wide -= wide

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls += 1
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.see(leaf)
        return out
