"""The losses of rows of logits on an accelerator, and their gradient in place.

Without an accelerator they run under triton's interpreter: see the tests of kernel varlen.
"""

import os
from importlib.util import find_spec

import pytest
import torch
from torch.nn import functional

interpreted = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = pytest.mark.skipif(
    find_spec("triton") is None or not (interpreted or torch.cuda.is_available()),
    reason="needs triton, and an accelerator or TRITON_INTERPRET=1 from the start",
)
DEVICE = "cpu" if interpreted else "cuda"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("width", [5, 1000, 20000])
def test_losses_and_gradients(width, smoothing):
    from ft_kernel_fused_loss.rows import losses_of_rows

    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(4, width + 3, generator=generator).to(DEVICE) * 3
    logits = wide[:, :width]  # rows do not follow one another
    targets = torch.randint(width, (4,), generator=generator).to(DEVICE)
    leaf = logits.clone().double().requires_grad_()
    wanted = functional.cross_entropy(leaf, targets, reduction="none", label_smoothing=smoothing)
    before = logits.clone()
    torch.testing.assert_close(losses_of_rows(logits, targets, smoothing, False), wanted.float())
    assert torch.equal(logits, before)
    torch.testing.assert_close(losses_of_rows(logits, targets, smoothing, True), wanted.float())
    (gradient,) = torch.autograd.grad(wanted.sum(), leaf)
    torch.testing.assert_close(logits, gradient.float(), atol=1e-6, rtol=1e-4)
