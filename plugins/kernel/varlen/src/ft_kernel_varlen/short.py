"""Attention over short documents, forward and backward, in Triton.

Flash attention gives each program 64 or 128 queries of one document, of one head: of documents
of some hundred tokens most of such a block lies outside the document, and most programs find
nothing to do. Here the queries of all heads that share a key stand in one block, so that it
spans few tokens, and a block runs over the borders of documents: what it sees is masked. The
backward pass adds no partial sums in memory, so it gives the same bits each time.
The mathematics is flash attention's (Dao, 2023, arXiv:2307.08691).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.library import triton_op, wrap_triton

LOG2E = tl.constexpr(math.log2(math.e))


class Block(NamedTuple):
    """Queries (of all heads of a group) and keys of a block, warps, and loads ahead."""

    rows: int
    keys: int
    num_warps: int
    num_stages: int


FORWARD = {64: Block(64, 32, 4, 3), 128: Block(64, 32, 4, 3)}
OF_QUERIES = {64: Block(64, 32, 4, 3), 128: Block(64, 32, 4, 2)}
OF_KEYS = {64: Block(64, 64, 4, 3), 128: Block(64, 64, 8, 2)}
"""The fastest that were tried on an H200, by the width of the heads."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    longest: int,
    scale: float | None,
    window: int,
) -> Tensor:
    """As :mod:`ft_kernel_varlen.implementations` has it; heads at most 128 wide."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return forward(query, key, value, starts, scale, window)[0]


def constants(
    blocks: dict[int, Block], heads: int, shared: int, width: int, scale: float, window: int
) -> dict[str, Any]:
    """What a kernel is compiled for."""
    block = blocks[max(width, 64)]
    return {
        "HEADS": heads,
        "SHARED": shared,
        "SLOTS": triton.next_power_of_2(heads // shared),
        "WIDTH": width,
        "ROWS": block.rows,
        "KEYS": block.keys,
        "SCALE": scale,
        "WINDOW": window,
        "num_warps": block.num_warps,
        "num_stages": block.num_stages,
    }


@triton_op("ft_varlen::forward", mutates_args={})
def forward(
    query: Tensor, key: Tensor, value: Tensor, starts: Tensor, scale: float, window: int
) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm (base 2, float32, (heads, tokens)) of each softmax's sum."""
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    tokens, heads, width = query.shape
    shared = key.shape[1]
    out = torch.empty_like(query)
    sums = torch.empty((heads, tokens), dtype=torch.float32, device=query.device)
    how = constants(FORWARD, heads, shared, width, scale, window)
    grid = (triton.cdiv(tokens * how["SLOTS"], how["ROWS"]), shared)
    of = (starts, len(starts), tokens)
    wrap_triton(_forward)[grid](query, key, value, out, sums, *of, **how)
    return out, sums


@triton_op("ft_varlen::backward", mutates_args={})
def backward(
    outer: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    out: Tensor,
    sums: Tensor,
    scale: float,
    window: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of queries, keys and values."""
    outer, query, key, value = (one.contiguous() for one in (outer, query, key, value))
    tokens, heads, width = query.shape
    shared = key.shape[1]
    of_query, of_key, of_value = map(torch.empty_like, (query, key, value))
    inner = torch.empty_like(sums)
    of = (starts, len(starts), tokens)
    how = constants(OF_QUERIES, heads, shared, width, scale, window)
    grid = (triton.cdiv(tokens * how["SLOTS"], how["ROWS"]), shared)
    wrap_triton(_of_queries)[grid](query, key, value, out, outer, sums, inner, of_query, *of, **how)
    how = constants(OF_KEYS, heads, shared, width, scale, window)
    grid = (triton.cdiv(tokens, how["KEYS"]), shared)
    wrap_triton(_of_keys)[grid](query, key, value, outer, sums, inner, of_key, of_value, *of, **how)
    return of_query, of_key, of_value


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, scale, window = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.scale, ctx.window = scale, window


def _backward(ctx: Any, outer: Tensor, of_sums: Tensor) -> tuple[Any, ...]:
    query, key, value, starts, out, sums = ctx.saved_tensors
    found = backward(outer, query, key, value, starts, out, sums, ctx.scale, ctx.window)
    return (*found, None, None, None)


forward.register_autograd(_backward, setup_context=_keep)


@triton.jit
def _document(starts, count, places):
    """The document of each place: the last one that starts at it or before."""
    low = tl.zeros_like(places)
    span = count
    while span > 1:
        span = (span + 1) // 2
        # the last start is past every place
        middle = tl.minimum(low + span, count - 1)
        low = tl.where(tl.load(starts + middle) <= places, middle, low)
    return low


@triton.jit
def _forward(
    query,
    key,
    value,
    out,
    sums,
    starts,
    count,
    tokens,
    HEADS: tl.constexpr,  # noqa: N803
    SHARED: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SCALE: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    KEYS: tl.constexpr,  # noqa: N803
):
    shared = tl.program_id(1)
    lane = tl.arange(0, ROWS)
    place = tl.program_id(0) * (ROWS // SLOTS) + lane // SLOTS
    head = shared * (HEADS // SHARED) + lane % SLOTS
    inside = (place < tokens) & (lane % SLOTS < HEADS // SHARED)
    column = tl.arange(0, WIDTH)
    at = (place * HEADS + head)[:, None] * WIDTH + column
    q = tl.load(query + at, mask=inside[:, None], other=0.0)
    first = tl.load(starts + _document(starts, count, tl.minimum(place, tokens - 1)))
    if WINDOW >= 0:
        first = tl.maximum(first, place - WINDOW)
    highest = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    mixed = tl.zeros((ROWS, WIDTH), tl.float32)
    begin = tl.min(first) // KEYS * KEYS
    end = tl.minimum(tl.max(place) + 1, tokens)
    for start in range(begin, end, KEYS):
        of = start + tl.arange(0, KEYS)
        there = of < tokens
        of_at = (of * SHARED + shared)[:, None] * WIDTH + column
        k = tl.load(key + of_at, mask=there[:, None], other=0.0)
        seen = (of[None] >= first[:, None]) & (of[None] <= place[:, None])
        s = tl.where(seen, tl.dot(q, tl.trans(k)) * (SCALE * LOG2E), float("-inf"))
        new = tl.maximum(highest, tl.max(s, 1))
        # no key of this block may be seen by a row yet
        safe = tl.where(new == float("-inf"), 0.0, new)
        p = tl.exp2(s - safe[:, None])
        before = tl.exp2(highest - safe)
        total = total * before + tl.sum(p, 1)
        v = tl.load(value + of_at, mask=there[:, None], other=0.0)
        mixed = mixed * before[:, None] + tl.dot(p.to(v.dtype), v)
        highest = new
    # a row past the last token has seen nothing
    total = tl.where(total == 0.0, 1.0, total)
    tl.store(out + at, (mixed / total[:, None]).to(q.dtype), mask=inside[:, None])
    tl.store(sums + head * tokens + place, highest + tl.log2(total), mask=inside)


@triton.jit
def _of_queries(
    query,
    key,
    value,
    out,
    outer,
    sums,
    inner,
    of_query,
    starts,
    count,
    tokens,
    HEADS: tl.constexpr,  # noqa: N803
    SHARED: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SCALE: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    KEYS: tl.constexpr,  # noqa: N803
):
    shared = tl.program_id(1)
    lane = tl.arange(0, ROWS)
    place = tl.program_id(0) * (ROWS // SLOTS) + lane // SLOTS
    head = shared * (HEADS // SHARED) + lane % SLOTS
    inside = (place < tokens) & (lane % SLOTS < HEADS // SHARED)
    column = tl.arange(0, WIDTH)
    at = (place * HEADS + head)[:, None] * WIDTH + column
    q = tl.load(query + at, mask=inside[:, None], other=0.0)
    g = tl.load(outer + at, mask=inside[:, None], other=0.0)
    o = tl.load(out + at, mask=inside[:, None], other=0.0)
    product = tl.sum(g.to(tl.float32) * o.to(tl.float32), 1)
    tl.store(inner + head * tokens + place, product, mask=inside)
    whole = tl.load(sums + head * tokens + place, mask=inside, other=0.0)
    first = tl.load(starts + _document(starts, count, tl.minimum(place, tokens - 1)))
    if WINDOW >= 0:
        first = tl.maximum(first, place - WINDOW)
    slope = tl.zeros((ROWS, WIDTH), tl.float32)
    begin = tl.min(first) // KEYS * KEYS
    end = tl.minimum(tl.max(place) + 1, tokens)
    for start in range(begin, end, KEYS):
        of = start + tl.arange(0, KEYS)
        there = of < tokens
        of_at = (of * SHARED + shared)[:, None] * WIDTH + column
        k = tl.load(key + of_at, mask=there[:, None], other=0.0)
        v = tl.load(value + of_at, mask=there[:, None], other=0.0)
        seen = (of[None] >= first[:, None]) & (of[None] <= place[:, None])
        s = tl.dot(q, tl.trans(k)) * (SCALE * LOG2E)
        p = tl.where(seen, tl.exp2(s - whole[:, None]), 0.0)
        s_slope = p * (tl.dot(g, tl.trans(v)) - product[:, None])
        slope += tl.dot(s_slope.to(k.dtype), k)
    tl.store(of_query + at, (slope * SCALE).to(q.dtype), mask=inside[:, None])


@triton.jit
def _of_keys(
    query,
    key,
    value,
    outer,
    sums,
    inner,
    of_key,
    of_value,
    starts,
    count,
    tokens,
    HEADS: tl.constexpr,  # noqa: N803
    SHARED: tl.constexpr,  # noqa: N803
    SLOTS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SCALE: tl.constexpr,  # noqa: N803
    WINDOW: tl.constexpr,  # noqa: N803
    ROWS: tl.constexpr,  # noqa: N803
    KEYS: tl.constexpr,  # noqa: N803
):
    shared = tl.program_id(1)
    place = tl.program_id(0) * KEYS + tl.arange(0, KEYS)
    inside = place < tokens
    column = tl.arange(0, WIDTH)
    at = (place * SHARED + shared)[:, None] * WIDTH + column
    k = tl.load(key + at, mask=inside[:, None], other=0.0)
    v = tl.load(value + at, mask=inside[:, None], other=0.0)
    # the last token that sees a key
    last = tl.load(starts + _document(starts, count, tl.minimum(place, tokens - 1)) + 1) - 1
    if WINDOW >= 0:
        last = tl.minimum(last, place + WINDOW)
    k_slope = tl.zeros((KEYS, WIDTH), tl.float32)
    v_slope = tl.zeros((KEYS, WIDTH), tl.float32)
    lane = tl.arange(0, ROWS)
    head = shared * (HEADS // SHARED) + lane % SLOTS
    end = tl.minimum(tl.max(tl.where(inside, last, 0)) + 1, tokens)
    for start in range(tl.program_id(0) * KEYS, end, ROWS // SLOTS):
        of = start + lane // SLOTS
        there = (of < tokens) & (lane % SLOTS < HEADS // SHARED)
        of_at = (of * HEADS + head)[:, None] * WIDTH + column
        q = tl.load(query + of_at, mask=there[:, None], other=0.0)
        g = tl.load(outer + of_at, mask=there[:, None], other=0.0)
        whole = tl.load(sums + head * tokens + of, mask=there, other=0.0)
        product = tl.load(inner + head * tokens + of, mask=there, other=0.0)
        seen = (place[:, None] <= of[None]) & (of[None] <= last[:, None])
        s = tl.dot(k, tl.trans(q)) * (SCALE * LOG2E)
        p = tl.where(seen, tl.exp2(s - whole[None]), 0.0)
        v_slope += tl.dot(p.to(g.dtype), g)
        s_slope = p * (tl.dot(v, tl.trans(g)) - product[None])
        k_slope += tl.dot(s_slope.to(q.dtype), q)
    tl.store(of_key + at, (k_slope * SCALE).to(k.dtype), mask=inside[:, None])
    tl.store(of_value + at, v_slope.to(k.dtype), mask=inside[:, None])
