"""The file format of AQLM, and a linear layer that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ft.api import InputError
from ft.api.packed import PackedLinear


class CodebookLinear(PackedLinear):
    """Block (g, h) of W is scales[g] times the sum over k of codebooks[k, codes[g, h, k]].

    ``codes`` (out/rows, in/columns, number of codebooks): integers, of which negative ones count
    from the end. ``codebooks`` (number, size, rows, columns) and ``scales`` (out/rows, 1, 1, 1)
    are in 16 bits.
    """

    main = "codes"
    codes: Tensor
    codebooks: Tensor
    scales: Tensor

    def __init__(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]):
        super().__init__(linear, stored)
        count, _, rows, columns = self.codebooks.shape
        shape = (self.out_features // rows, self.in_features // columns, count)
        if self.codes.shape != shape:
            raise InputError(
                f"{name}.codes is of {tuple(self.codes.shape)}, and the codebooks beside it are "
                f"for {shape}",
                hint="use the config.json that was saved with these weights",
            )

    def operands(self) -> tuple[Any, ...]:
        return tuple(tensor.detach() for tensor in (self.weight, self.codebooks, self.scales))

    @classmethod
    def unpacked(
        cls, kind: torch.dtype, codes: Tensor, codebooks: Tensor, scales: Tensor
    ) -> Tensor:
        count, size, rows, columns = codebooks.shape
        wide = torch.promote_types(codebooks.dtype, kind)
        first = torch.arange(count, device=codes.device) * size
        index = codes.long() % size + first
        table = codebooks.to(wide).reshape(count * size, rows * columns)
        blocks = functional.embedding_bag(index.flatten(0, 1), table, mode="sum")
        blocks = blocks.view(*codes.shape[:2], rows, columns) * scales.to(wide)
        return blocks.transpose(1, 2).reshape(len(codes) * rows, -1).to(kind)


def encoded(weight: Tensor, size: int = 64, columns: int = 4) -> dict[str, Tensor]:
    """The tensors of a layer whose ``weight`` (out, in) two codebooks stand for.

    Each codebook is of the vectors that k-means finds in what those before it leave. (AQLM's own
    search, which looks at calibration data, loses much less.)
    """
    out = weight.shape[0]
    scales = weight.detach().float().square().mean(1).sqrt().half().clamp(min=1e-6)
    left = (weight.detach().float() / scales.float()[:, None]).reshape(-1, columns)
    books, codes = [], []
    for _ in range(2):
        book = left[torch.linspace(0, len(left) - 1, size).long()]
        for _ in range(4):
            nearest = torch.cdist(left, book).argmin(1)
            sums = torch.zeros_like(book).index_add_(0, nearest, left)
            counts = torch.bincount(nearest, minlength=size)[:, None]
            book = torch.where(counts > 0, sums / counts.clamp(min=1), book)
        book = book.half().float()
        nearest = torch.cdist(left, book).argmin(1)
        left = left - book[nearest]
        books.append(book)
        codes.append(nearest)
    return {
        "codes": torch.stack(codes, -1).view(out, -1, 2).to(torch.uint8).view(torch.int8),
        "codebooks": torch.stack(books).half()[:, :, None],
        "scales": scales.view(-1, 1, 1, 1),
    }
