"""The documents of the pass under way, and the kernels for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ft_kernel_varlen.implementations import Attend

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NAME = "ft-varlen"
WIDEST = 256
"""Heads that flash attention takes."""
WIDTHS, GROUPS = (16, 32, 64, 128), 16
"""Heads that the kernel for short documents takes, and how many of them may share keys."""
SHORT = 512
"""Tokens of a document, on average, below which the kernel for short ones is the faster."""


@dataclass
class Documents:
    """The documents of the forward pass under way, and whether they need no mask.

    ``attend`` is the kernel for them, and ``attend_short``, where there is one, for batches of
    short ones, or for all where there is no other. ``starts`` is where they start in the packs,
    as :func:`ft_kernel_varlen.masks.document_mask` takes it; ``None`` where rows are not packed.
    ``masks`` counts those that were made in this pass. ``verdicts`` are remembered by what a
    mask is made of: it is built once, from the first packed batch, and compared with documents
    that see what is before them in themselves. An architecture that wants another mask
    (attention in chunks, images that are seen whole) keeps it.
    """

    attend: Attend | None
    attend_short: Attend | None = None
    starts: Tensor | None = None
    running: bool = False
    """What :meth:`runs` said of the pass: a compiled layer cannot ask the device."""
    short: bool = False
    """Whether the documents of the pass are short on average."""
    masks: int = 0
    verdicts: dict[Any, bool] = field(default_factory=dict)

    def begin(self, starts: Tensor | None, tokens: int) -> None:
        """Before a pass over documents that have so many tokens together."""
        self.starts = starts
        self.short = starts is not None and tokens < SHORT * (len(starts) - 1)

    def kernel(self, query: Tensor, key: Tensor) -> Attend | None:
        """The kernel for queries and keys (rows, heads, length, width); ``None``: a mask."""
        width, group = query.shape[-1], query.shape[1] // key.shape[1]
        if not self.running or width > WIDEST:
            return None
        if (self.short or self.attend is None) and width in WIDTHS and group <= GROUPS:
            return self.attend_short or self.attend
        return self.attend

    def runs(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the kernel runs for tensors like these, under autocast where that is on."""
        import torch

        if (self.attend or self.attend_short) is None or device.type != "cuda":
            return False
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        half = dtype in (torch.bfloat16, torch.float16)
        return half and torch.cuda.get_device_capability(device) >= (8, 0)
