"""What a pass through the model keeps, from running it without values."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from ft.api import InputError
from ft.plan.attention import shaped_attention
from ft.plan.shapes import shorten, to_fake
from ft.plan.tracker import Tracker
from ft.training.losses import before_head, find_head
from ft.training.recompute import recomputable

if TYPE_CHECKING:
    from torch import nn
    from torch._subclasses.fake_tensor import FakeTensorMode

    from ft.api import Run
    from ft.api.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Trace:
    """Bytes of a forward and a backward pass over some rows.

    ``layer`` is what one layer keeps, ``wide`` the part of it in float32, ``entry`` its input,
    ``around`` what is kept outside of the layers, ``first``
    the input of the first layer where that is kept even if no layer recomputes. ``backward`` is
    the most that the backward pass has beside what was kept; ``loss`` the most that output layer
    and loss have. ``made`` are all bytes that a layer writes, forward and backward, and
    ``forward_made`` those forward;
    ``calls`` and ``forward_calls`` are how many operations that takes.
    """

    layer: float
    wide: float
    entry: float
    around: float
    first: float
    backward: float
    loss: float
    made: float
    forward_made: float
    calls: float
    forward_calls: float

    def towards(self, other: Trace, share: float) -> Trace:
        """The values on the line from these to the other's; ``share`` may lie outside 0 … 1."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Trace(*(one + (two - one) * share for one, two in pairs))


class Traced:
    """A model that was run without values for one row and for two.

    Everything that it keeps grows with rows in a line, since all rows are equally long.
    ``copies`` are bytes that kernels hold beside the weights; ``casts`` those that autocast makes
    of a layer's trained weights and keeps until the loss is there; ``depth`` the number of layers.
    """

    def __init__(self, run: Run, estimate: Estimate, length: int, precision: torch.dtype):
        from torch._subclasses.fake_tensor import FakeTensorMode

        self.depth = shorten(estimate.model)
        mode = FakeTensorMode()
        to_fake(estimate.model, mode)
        held = [*estimate.model.parameters(), *estimate.model.buffers()]
        with mode:
            tracker = Tracker(())
            for tensor in held:
                tracker.see(tensor)
            weights = tracker.now
            with tracker:
                for plugin, _ in run.selection.each("ft_estimate", run=run, estimate=estimate):
                    _ = plugin
            layers = len(recomputable(estimate.model))
            if not layers:
                raise InputError("ft plan: this model has no layers that are known as such")
            self.copies = (tracker.now - weights) * self.depth / layers
            del held
            head = find_head(run, estimate.model)
            width = 0 if head is None else len(head.weight)  # type: ignore[arg-type]
            self.casts = _casts(estimate.model, precision) / layers
            # in a slice they do not grow with rows in a line
            self.logits = float(length * width * precision.itemsize)
            self.most_logits = estimate.loss_bytes or 0.0
            self.one, self.two = (
                _trace(run, estimate, rows, length, precision, mode) for rows in (1, 2)
            )

    def at(self, rows: float) -> Trace:
        """What ``rows`` rows keep."""
        found = self.one.towards(self.two, rows - 1)
        return replace(found, loss=found.loss + min(self.most_logits, rows * self.logits))


def _casts(model: nn.Module, precision: torch.dtype) -> float:
    """Bytes of the trained matrices inside layers in the type of the products."""
    found = {
        id(module.weight): module.weight.numel() * precision.itemsize
        for layer in recomputable(model)
        for module in layer.modules()
        if isinstance(module, torch.nn.Linear)
        and module.weight.requires_grad
        and module.weight.dtype != precision
    }
    return float(sum(found.values()))


def _trace(
    run: Run,
    estimate: Estimate,
    rows: int,
    length: int,
    precision: torch.dtype,
    mode: FakeTensorMode,
) -> Trace:
    """One forward and one backward pass over ``rows`` full rows."""
    model, layers = estimate.model, recomputable(estimate.model)
    tracker = Tracker([*model.parameters(), *model.buffers()])
    before: list[tuple[int, ...]] = []
    after: list[tuple[int, ...]] = []
    entries: list[int] = []
    keys: list[int] = []

    def now() -> tuple[int, ...]:
        return tracker.now, tracker.wide, tracker.written, tracker.calls

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        keys.append(id(args[0].untyped_storage()))
        entries.append(args[0].numel() * args[0].element_size())
        before.append(now())

    hooks = [
        hook
        for layer in layers
        for hook in (
            layer.register_forward_pre_hook(enter),
            layer.register_forward_hook(lambda *_: after.append(now())),
        )
    ]
    states: list[torch.Tensor] = []

    def select(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        states.append(args[0])
        return (args[0][:1, -1:], *args[1:])

    config = getattr(run.config, "get_text_config", lambda: run.config)()
    former = config._attn_implementation
    model.train()
    try:
        with (
            tracker,
            shaped_attention(dense=estimate.dense_mask) as name,
            torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32),
        ):
            if former != "eager":
                config._attn_implementation = name
            with before_head(run, model, select):
                run.forward(model, {"input_ids": torch.zeros(rows, length, dtype=torch.long)})
            if not states:
                raise InputError("ft plan: this model has no output layer that can be found")
            kept = tracker.now
            first = entries[0] if keys[0] in tracker.alive else 0
            loss = _loss(run, estimate, tracker, states[0].detach())
        written, calls = tracker.written, tracker.calls
        with tracker:
            tracker.peak = tracker.now
            start, top = tracker.now, states.pop()
            top.backward(torch.empty_like(top))
    finally:
        config._attn_implementation = former
        for hook in hooks:
            hook.remove()
        for parameter in model.parameters():
            parameter.grad = None
    count = len(layers)
    layer, wide, made, called = (
        sum(end[k] - begin[k] for begin, end in zip(before, after, strict=True)) / count
        for k in range(4)
    )
    return Trace(
        layer=layer,
        wide=wide,
        entry=sum(entries) / count,
        around=kept - first - layer * count,
        first=first,
        backward=tracker.peak - start,
        loss=loss,
        made=made + (tracker.written - written) / count,
        forward_made=made,
        calls=called + (tracker.calls - calls) / count,
        forward_calls=called,
    )


def _loss(run: Run, estimate: Estimate, tracker: Tracker, states: torch.Tensor) -> float:
    """The most bytes that output layer and loss have at once, where every token is trained."""
    from torch.nn import functional

    head = find_head(run, estimate.model)
    assert head is not None  # its input was seen
    tokens, width = states.flatten(0, -2).shape
    weight = head.weight
    assert isinstance(weight, torch.Tensor)
    if estimate.loss_bytes is not None:
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else states.dtype
        # and the states at trained places, their gradient, and that of the weight in float32
        sides = 3 * tokens * width * kind.itemsize
        trained = weight.numel() * (4 + kind.itemsize) if weight.requires_grad else 0
        return sides + trained  # beside the logits
    tracker.peak = start = tracker.now
    states.requires_grad_()
    logits = head(states)
    losses = functional.cross_entropy(
        logits.flatten(0, -2).float(), torch.zeros(tokens, dtype=torch.long), reduction="none"
    )
    losses.sum().backward()
    weight.grad = None
    return tracker.peak - start
