"""What an optimizer holds, from having it step without values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ft.plan.shapes import to_fake
from ft.plan.tracker import Tracker

if TYPE_CHECKING:
    from ft.api import Run


@dataclass(frozen=True, slots=True)
class Update:
    """Bytes of the optimizer's state, of the gradients that are there at once, and of what a step
    has beside them for a moment."""

    state: float
    gradients: float
    passing: float


def trace_update(run: Run, model: nn.Module) -> Update:
    """What the optimizer of ``run`` holds for a model on the meta device.

    The optimizer is built and takes a step over tensors without values, so whatever it keeps by
    parameter, and whichever parameters it freezes, counts. One that cannot do that is taken at
    its word, :meth:`Optimizer.bytes_per_parameter`.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    # the mode is not entered: an optimizer's own small tables have values
    to_fake(model, FakeTensorMode(allow_non_fake_inputs=True))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    sizes = [float(p.numel() * p.element_size()) for p in trained]
    plugin = run.part("optimizer")
    device, run.device = run.device, torch.device("cpu")
    try:
        optimizer = run.hook.ft_build_optimizer(run=run, model=model)
        active = [size for p, size in zip(trained, sizes, strict=True) if p.requires_grad]
        torch.stack([(p * 1.0).sum().float() for p in trained if p.requires_grad]).sum().backward()
        with Tracker([*trained, *(p.grad for p in trained if p.grad is not None)]) as tracker:
            optimizer.step()
        passing = float(tracker.peak - tracker.now)
        kept = tree_leaves(list(optimizer.state.values()))
        # a count of steps is no memory
        state = float(
            sum(t.numel() * t.element_size() for t in kept if isinstance(t, Tensor) and t.ndim)
        )
    except Exception:
        # stated for float32; torch's optimizers have their state in the type of the weight
        active, state, passing = sizes, sum(sizes) / 4 * plugin.bytes_per_parameter(), 0.0
    finally:
        run.device = device
        for parameter in trained:
            parameter.requires_grad_(True)
            parameter.grad = None
    steps_inside = "gradient-accumulation" not in plugin.capabilities().accepts
    return Update(state, max(active, default=0.0) if steps_inside else sum(active), passing)
