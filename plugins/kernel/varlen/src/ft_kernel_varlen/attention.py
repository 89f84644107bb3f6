"""The attention function that transformers is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import InputError
from ft_kernel_varlen.documents import NAME, Documents
from ft_kernel_varlen.masks import document_mask

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = ("softcap", "s_aux")
"""Arguments of other attentions, which neither these kernels nor torch's scaled product has."""


def register(documents: Documents) -> None:
    """Give transformers the function under :data:`NAME`."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

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
            plain = not dropout and more.get("position_bias") is None
            attend = documents.kernel(query, key) if plain else None
            if attend is not None:
                q, k, v = (half(part).transpose(1, 2).flatten(0, 1) for part in (query, key, value))
                window = sliding_window - 1 if sliding_window else -1
                out = attend(q, k, v, starts, more["max_length_q"], scaling, window)
                return out.view(rows, length, heads, width), None
            mask = document_mask(starts, rows, length, sliding_window)
        return sdpa_attention_forward(
            module, query, key, value, mask, dropout=dropout, scaling=scaling, **more
        )

    AttentionInterface.register(NAME, attention)


def unregister() -> None:
    """Take both back."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    for registry in (AttentionInterface, AttentionMaskInterface):
        registry._global_mapping.pop(NAME, None)


def half(tensor: Tensor) -> Tensor:
    """As autocast would have it: rotary positions in float32 widen what they turn."""
    import torch

    if torch.is_autocast_enabled(tensor.device.type):
        return tensor.to(torch.get_autocast_dtype(tensor.device.type))
    return tensor
