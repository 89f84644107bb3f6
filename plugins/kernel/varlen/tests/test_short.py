"""The kernels for short documents, against attention written out in float64.

Without an accelerator they run under triton's interpreter, which has to be chosen before
anything imports triton: ``make test`` does so.
"""

import os
from importlib.util import find_spec

import pytest
import torch

from ft_kernel_varlen.masks import document_mask

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    find_spec("triton") is None or not (interpreted or torch.cuda.is_available()),
    reason="needs triton, and an accelerator or TRITON_INTERPRET=1 from the start",
)
DEVICE = "cpu" if interpreted else "cuda"
# tokens, heads of queries and of keys, width, where documents start, window
SHAPES = {
    "many": (200, 4, 2, 16, [0, 5, 70, 71, 150, 200], -1),
    "one": (256, 8, 2, 32, [0, 256, 256, 256], -1),
    "window": (130, 2, 2, 16, [0, 64, 130], 20),
    "one token": (192, 8, 1, 64, [0, 1, 2, 90, 192], -1),
    "seven heads share": (150, 7, 1, 16, [0, 40, 150], -1),
    "wide": (100, 3, 1, 128, [0, 33, 100], 7),
}


def written_out(query, key, value, starts, window):
    shared = query.shape[1] // key.shape[1]
    key, value = (part.repeat_interleave(shared, 1) for part in (key, value))
    seen = document_mask(starts, 1, len(query), None if window < 0 else window + 1)[0, 0]
    scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~seen, -torch.inf)
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), value)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_output_and_gradients(shape):
    from ft_kernel_varlen.short import attend

    tokens, heads, shared, width, starts, window = shape
    generator = torch.Generator().manual_seed(0)
    # the interpreter's bfloat16 is none
    kind = torch.float16
    given = [
        torch.randn(tokens, count, width, generator=generator).to(DEVICE, kind).requires_grad_()
        for count in (heads, shared, shared)
    ]
    outer = torch.randn(tokens, heads, width, generator=generator).to(DEVICE, kind)
    borders = torch.tensor(starts, dtype=torch.int32, device=DEVICE)
    out = attend(*given, borders, 0, None, window)
    found = [out, *torch.autograd.grad(out, given, outer)]
    exact = [part.detach().double().requires_grad_() for part in given]
    wanted = written_out(*exact, borders, window)
    for one, other in zip(
        found, [wanted, *torch.autograd.grad(wanted, exact, outer.double())], strict=True
    ):
        assert (one.double() - other).norm() < 1e-3 * other.norm()


def test_the_backward_pass_gives_the_same_bits_each_time():
    from ft_kernel_varlen.short import attend

    given = [torch.randn(90, 2, 16, device=DEVICE, dtype=torch.float16) for _ in range(3)]
    starts = torch.tensor([0, 31, 90], dtype=torch.int32, device=DEVICE)
    found = []
    for _ in range(2):
        leaves = [part.clone().requires_grad_() for part in given]
        out = attend(*leaves, starts, 0, None, -1)
        found.append(torch.autograd.grad(out.sum(), leaves))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
