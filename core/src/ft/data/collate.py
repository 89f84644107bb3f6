"""Micro batches: encoded rows as tensors, padded or packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ft.api.examples import Encoded
from ft.api.run import Run
from ft.api.trainer import Batch
from ft.errors import RunError

IGNORED = -100
"""The label of a token without a loss, as torch's cross-entropy has it."""

MULTIPLE = 64
"""What shapes are rounded up to where odd ones are slow."""


def collate(run: Run, rows: Sequence[Any]) -> Batch:
    """Make one micro batch of ``rows``, which are all of one form.

    * :class:`Encoded`: padded on the right to the longest, with an ``attention_mask``.
    * a list of :class:`Encoded`, a pack: its documents one after another. ``position_ids``
      start again at 0 with each, and with the padding behind them; from that transformers
      keeps documents apart, provided that there is no attention mask. ``documents`` (int32) is
      where they start in the rows one after another, its last value the number of tokens, and
      ``longest`` (int) the length of the longest or a little more. Rows of an accelerator have
      a multiple of 64 tokens, which its matrix units want.
    * a mapping: one such batch under each name; numbers (a margin) become a float32 tensor.

    All have ``input_ids`` and ``labels`` (int64; -100 where the weight is 0) and ``weights``
    (float32), of shape (rows, length), the columns of ``per_token`` in the same shape, and
    ``media`` concatenated along dimension 0, or that of the family's ``joined_media``, after
    those that it names in ``padded_media`` have the size of the largest. ``predicts`` (int64) are
    the places, counted over all rows, from which trained tokens are predicted: known here, so that
    nobody has to ask a device for them; ``real_tokens`` (int) how many there are without padding.
    The first token of a document has weight 0: nothing stands before it from which it could be
    predicted.
    """
    first = rows[0]
    if isinstance(first, Mapping):
        return {name: _column(run, [row[name] for row in rows]) for name in first}
    if isinstance(first, Encoded):
        return _tensors(run, [[row] for row in rows], packed=False)
    if _flash(run):
        # these kernels tell documents apart in a batch of one row only; they need no padding
        rows = [[document for pack in rows for document in pack]]
    return _tensors(run, rows, packed=True)


def _column(run: Run, values: list[Any]) -> Any:
    if isinstance(values[0], (bool, int, float)):
        import torch

        return torch.tensor(values, dtype=torch.float32)
    return collate(run, values)


def _flash(run: Run) -> bool:
    return "flash" in (getattr(run.config, "_attn_implementation", None) or "")


def same_shapes(run: Run) -> bool:
    """Whether a kernel takes long where a packed batch has another shape than the last."""
    kernels: Sequence[Any] = run.parts("kernel")
    return any(kernel.same_shapes for kernel in kernels)


def _tensors(run: Run, packs: Sequence[Sequence[Encoded]], *, packed: bool) -> Batch:
    import torch

    width = max(sum(map(len, pack)) for pack in packs)
    if packed and same_shapes(run):
        width = max(width, run.part("trainer").options.max_length)
    if packed and run.device.type != "cpu":
        width = -(-width // MULTIPLE) * MULTIPLE
    shape = (len(packs), width)
    documents = [document for pack in packs for document in pack]
    ids = np.full(shape, pad_id(run), dtype=np.int64)
    weights = np.zeros(shape, dtype=np.float32)
    positions = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    columns = {name: np.zeros(shape, np.int64) for d in documents for name in d.per_token}
    for row, pack in enumerate(packs):
        end = 0
        for document in pack:
            start, end = end, end + len(document)
            ids[row, start:end] = document.input_ids
            weights[row, start:end] = document.weights
            weights[row, start] = 0
            positions[row, start:end] = np.arange(end - start)
            for name, values in document.per_token.items():
                columns[name][row, start:end] = values
        mask[row, :end] = 1
        # many short documents, of which none is longer than those that are real
        positions[row, end:] = np.arange(shape[1] - end) % MULTIPLE
    arrays = {
        "input_ids": ids,
        "labels": np.where(weights > 0, ids, IGNORED),
        "weights": weights,
        "predicts": np.flatnonzero(weights > 0) - 1,
        **columns,
        **({"position_ids": positions} if packed else {"attention_mask": mask}),
    }
    batch: Batch = {name: torch.from_numpy(value) for name, value in arrays.items()}
    batch["real_tokens"] = int(mask.sum())
    if packed:
        batch |= _borders(positions)
    return batch | _media(run, documents)


def _borders(positions: np.ndarray) -> Batch:
    """Where documents start, and how long the longest is.

    Both are rounded up, the starts by documents without a token, so that a compiled model meets
    few different ones.
    """
    import torch

    starts = np.append(np.flatnonzero(positions == 0), positions.size)
    longest = int(np.diff(starts).max())
    extra = -len(starts) % MULTIPLE
    starts = np.append(starts, np.full(extra, positions.size)).astype(np.int32)
    return {"documents": torch.from_numpy(starts), "longest": -(-longest // MULTIPLE) * MULTIPLE}


def _media(run: Run, documents: Sequence[Encoded]) -> dict[str, Any]:
    import torch

    media: dict[str, list[Any]] = {}
    for document in documents:
        for name, value in document.media.items():
            media.setdefault(name, []).append(torch.as_tensor(value))
    joined = run.family.joined_media if media else {}
    for name, tensors in media.items():
        if name in joined or len({tensor.shape[1:] for tensor in tensors}) == 1:
            continue
        if name not in run.family.padded_media:
            raise RunError(
                f"{name} of rows in one batch have the shapes "
                + ", ".join(str(tuple(tensor.shape)) for tensor in tensors),
                hint="set trainer.micro_batch_size: 1, or have the processor use one size",
            )
        media[name] = _padded(tensors)
    return {name: torch.cat(tensors, joined.get(name, 0)) for name, tensors in media.items()}


def _padded(tensors: Sequence[Any]) -> list[Any]:
    """Tensors with zeros behind, so that they differ in dimension 0 alone."""
    from torch.nn.functional import pad

    sizes = [max(size) for size in zip(*(t.shape[1:] for t in tensors), strict=True)]
    behind = [[size - had for size, had in zip(sizes, t.shape[1:], strict=True)] for t in tensors]
    # `pad` counts dimensions from the last one, with what comes before and behind each
    return [
        pad(tensor, [n for size in reversed(more) for n in (0, size)])
        for tensor, more in zip(tensors, behind, strict=True)
    ]


def pad_id(run: Run) -> int:
    """The id that fills short rows: the tokenizer's padding, or else its end, or else 0."""
    for name in ("pad_token_id", "eos_token_id"):
        token = getattr(run.tokenizer, name, None)
        if token is not None:
            return token
    return 0
