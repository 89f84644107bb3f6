"""The attention function and the mask function that transformers is given."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ft.api import InputError
from ft_kernel_varlen.implementations import Attend

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NAME = "ft-varlen"
WIDEST_HEAD = 256
UNKNOWN = ("softcap", "s_aux")
"""Arguments of other attentions, which neither these kernels nor torch's scaled product has."""


@dataclass
class Documents:
    """The documents of the forward pass under way, and whether they need no mask.

    ``starts`` is where they start in the packs, as :func:`document_mask` takes it; ``None``
    where rows are not packed. ``verdicts`` are remembered by what a mask is made of: it is built
    once, from the first packed batch, and compared with documents that see what is before them
    in themselves. An architecture that wants another mask (attention in chunks, images that are
    seen whole) keeps it.
    """

    attend: Attend | None
    starts: Tensor | None = None
    running: bool = False
    """What :meth:`runs` said of the pass: a compiled layer cannot ask the device."""
    verdicts: dict[Any, bool] = field(default_factory=dict)

    def runs(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the kernel runs for tensors like these, under autocast where that is on."""
        import torch

        if self.attend is None or device.type != "cuda":
            return False
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        half = dtype in (torch.bfloat16, torch.float16)
        return half and torch.cuda.get_device_capability(device) >= (8, 0)


def register(documents: Documents) -> None:
    """Give transformers the two functions under :data:`NAME`."""
    import torch
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def attention(
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        **more: Any,
    ) -> tuple[Tensor, None]:
        """(rows, heads, length, width) to (rows, length, heads, width)."""
        for name in UNKNOWN:
            if more.get(name) is not None:
                raise InputError(
                    f"the attention of this model has {name}, which kernel varlen cannot compute",
                    hint="leave kernel varlen out",
                )
        starts = more.get("cu_seq_lens_q")
        if mask is None and starts is not None:
            rows, heads, length, width = query.shape
            fits = not dropout and width <= WIDEST_HEAD and more.get("position_bias") is None
            if documents.attend is not None and documents.running and fits:
                q, k, v = (half(part).transpose(1, 2).flatten(0, 1) for part in (query, key, value))
                window = sliding_window - 1 if sliding_window else -1
                out = documents.attend(q, k, v, starts, more["max_length_q"], scaling, window)
                return out.view(rows, length, heads, width), None
            mask = document_mask(starts, rows, length, sliding_window)
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout=dropout, scaling=scaling, **more
        )

    def mask_of(**made_of: Any) -> Tensor | None:
        """No mask for packed documents, and the usual one otherwise."""
        rows, length = made_of["batch_size"], made_of["q_length"]
        packed = made_of["attention_mask"] is None and made_of["kv_length"] == length
        starts = documents.starts
        documents.running = documents.runs(made_of["device"], made_of["dtype"])
        if not packed or starts is None or not documents.running:
            return sdpa_mask(**made_of)
        parts = _parts(made_of["mask_function"])
        if parts not in documents.verdicts:
            mask = sdpa_mask(**made_of)
            windows = {None, getattr(made_of["config"], "sliding_window", None)}
            documents.verdicts[parts] = mask is None or (
                not _sees_more(parts)
                and any(
                    torch.equal(mask, document_mask(starts, rows, length, window))
                    for window in windows
                )
            )
        return None if documents.verdicts[parts] else sdpa_mask(**made_of)

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask_of)


def unregister() -> None:
    """Take both back."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    for registry in (AttentionInterface, AttentionMaskInterface):
        registry._global_mapping.pop(NAME, None)


def _parts(mask_function: Any) -> tuple[Any, ...]:
    """What a mask is made of: the functions that it combines, and their numbers."""
    inner = inspect.getclosurevars(mask_function).nonlocals
    return (
        mask_function.__qualname__,
        *(
            (
                name,
                tuple(_parts(one) for one in value)
                if isinstance(value, tuple)
                else _parts(value)
                if callable(value) and not hasattr(value, "dtype")
                else value
                if isinstance(value, int)
                else "a tensor",
            )
            for name, value in sorted(inner.items())
        ),
    )


def _sees_more(parts: tuple[Any, ...]) -> bool:
    """Whether a mask depends on more of the batch than its positions.

    Such a mask may be causal for one batch and not for the next.
    """
    of_positions = ("packed_sequence_mask", "position_ids")
    return any(
        (part[1:] == ("a tensor",) and part[0] not in of_positions) or _sees_more(part)
        for part in parts
        if isinstance(part, tuple)
    )


def half(tensor: Tensor) -> Tensor:
    """As autocast would have it: rotary positions in float32 widen what they turn."""
    import torch

    if torch.is_autocast_enabled(tensor.device.type):
        return tensor.to(torch.get_autocast_dtype(tensor.device.type))
    return tensor


def document_mask(starts: Tensor, rows: int, length: int, window: int | None) -> Tensor:
    """Which tokens see which: those before them in their document, and in the window.

    ``starts`` as in :mod:`ft_kernel_varlen.implementations`, over all rows one after another.
    Boolean, (rows, 1, length, length).
    """
    import torch

    at = torch.arange(rows * length, device=starts.device)
    document = torch.searchsorted(starts, at.to(starts.dtype), right=True).view(rows, length)
    place = torch.arange(length, device=starts.device)
    back = place[:, None] - place[None]
    seen = (back >= 0) if window is None else (back >= 0) & (back < window)
    return ((document[:, :, None] == document[:, None]) & seen)[:, None]
