"""The mask function that transformers is given, and when it need not be asked at all."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ft_kernel_varlen.documents import NAME, Documents

if TYPE_CHECKING:
    from torch import Tensor, nn


def register_masks(documents: Documents) -> None:
    """Give transformers the mask function under :data:`NAME`."""
    import torch
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def mask_of(**made_of: Any) -> Tensor | None:
        """No mask for packed documents, and the usual one otherwise."""
        rows, length = made_of["batch_size"], made_of["q_length"]
        packed = made_of["attention_mask"] is None and made_of["kv_length"] == length
        starts = documents.starts
        documents.running = documents.runs(made_of["device"], made_of["dtype"])
        if not packed or starts is None or not documents.running:
            documents.masks += 1
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
        if documents.verdicts[parts]:
            return None
        documents.masks += 1
        return sdpa_mask(**made_of)

    AttentionMaskInterface.register(NAME, mask_of)


def skip_masks(documents: Documents, model: nn.Module) -> None:
    """Leave out the making of masks in packed passes of ``model`` that were seen to need none.

    Before it asks for a mask, transformers looks for packed rows in their positions, and waits
    for the device: the host loses its lead at each step. It does neither for an attention that
    has no mask function, so that is taken away for the time of such a pass. A pass is known by
    the names of its arguments, on which the masks of an architecture depend.
    """
    import torch
    from transformers.masking_utils import AttentionMaskInterface

    known: set[Any] = set()
    mask_function: Any = AttentionMaskInterface._global_mapping[NAME]

    def kind_of(kwargs: dict[str, Any]) -> Any:
        """``None`` for a pass that is not packed."""
        given = frozenset(name for name, value in kwargs.items() if value is not None)
        kind = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
        return (model.training, kind, given) if "cu_seq_lens_q" in given else None

    def before(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        documents.masks = 0
        if kind_of(kwargs) in known:
            documents.running = True
            AttentionMaskInterface._global_mapping.pop(NAME)

    def after(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        kind = kind_of(kwargs)
        if kind in known:
            AttentionMaskInterface.register(NAME, mask_function)
        elif kind and documents.running and not documents.masks:
            known.add(kind)

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(after, with_kwargs=True, always_call=True)


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
