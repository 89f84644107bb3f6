"""Attention without values: what a flash kernel keeps (Dao, 2023, arXiv:2307.08691)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

NAME = "ft-plan"


class Attention(torch.autograd.Function):
    """(rows, heads, length, width) to (rows, length, heads, width).

    Queries, keys, values, the output and a float32 for each row of scores are kept, and the
    mask with its additive form where there is one.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        rows, heads, length, _ = query.shape
        out = query.new_empty(rows, length, heads, value.shape[-1])
        sums = query.new_empty(rows, heads, length, dtype=torch.float32)
        added = () if mask is None else (mask.to(query.dtype),)
        ctx.save_for_backward(query, key, value, out, sums, *added)
        return out

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return (*map(torch.empty_like, (query, key, value)), None)


@contextmanager
def shaped_attention(*, dense: bool) -> Iterator[str]:
    """The name under which transformers finds this attention, with or without a mask."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import repeat_kv
    from transformers.masking_utils import AttentionMaskInterface

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **more: Any
    ) -> tuple[Tensor, None]:
        if mask is not None:  # fewer heads of keys and values are repeated for such a kernel
            times = query.shape[1] // key.shape[1]
            key, value = repeat_kv(key, times), repeat_kv(value, times)
        return Attention.apply(query, key, value, mask), None

    def mask_of(**made_of: Any) -> Tensor | None:
        shape = (made_of["batch_size"], 1, made_of["q_length"], made_of["kv_length"])
        return torch.empty(shape, dtype=torch.bool) if dense else None

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, mask_of)
    try:
        yield NAME
    finally:
        for registry in (AttentionInterface, AttentionMaskInterface):
            registry._global_mapping.pop(NAME, None)
