"""An adapter switched off, or swapped for another one on the same base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def switched(model: Any, name: str | None) -> Iterator[None]:
    former = model.active_adapter
    with same_frozen(model):
        if name is None:
            with ExitStack() as stack:
                with same_frozen(model):
                    stack.enter_context(model.disable_adapter())
                yield
            return
        try:
            with same_frozen(model):
                model.set_adapter(name)
            yield
        finally:
            model.set_adapter(former)


@contextmanager
def same_frozen(model: Any) -> Iterator[dict[int, bool]]:
    """Keep what trains and what is frozen; PEFT trains what is active and freezes the rest.

    Parameters that are added meanwhile are frozen, unless the dict says otherwise by id.
    """
    new: dict[int, bool] = {}
    before = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    try:
        yield new
    finally:
        for parameter in model.parameters():
            trains = before.get(id(parameter), new.get(id(parameter), False))
            parameter.requires_grad_(trains)
