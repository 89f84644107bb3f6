"""One small use of a plugin, as a run uses it, and what it did beside its work.

All checks of a plugin's manners look at the same three uses: two under one seed and a third
under another.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ft.api import Conversation, Run
from ft.conformance.around import EXERCISES as AROUND
from ft.conformance.bench import logits, random_rows, save, tiny_run, train, weights
from ft.conformance.check import NotRun, Skip
from ft.conformance.examples import examples_of
from ft.conformance.guard import leftovers, own_module, scratch_home, watch, watch_output
from ft.conformance.learning import learning_run, types_of
from ft.conformance.state import watch_state
from ft.conformance.subject import Subject
from ft.errors import FtError
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection

QUICK: dict[str, Any] = {"steps": 2, "batch_size": 2}


# -------------------------------------------------------------------------------------------
# The exercises
# -------------------------------------------------------------------------------------------


def use_model(subject: Subject) -> Any:
    """Train two steps and save."""
    return _trained(tiny_run(subject, rows=random_rows(4), trainer=QUICK))


def use_adapter(subject: Subject) -> Any:
    """Train two steps, save, and load that again."""
    run = tiny_run(subject, rows=random_rows(4), trainer=QUICK)
    found = _trained(run)
    restored = run.hook.ft_restore_model(run=run, folder=run.folder / "result")
    return [*found, logits(restored)]


def use_trained(subject: Subject) -> Any:
    """Train two steps with it: an optimizer or a trainer."""
    if subject.kind == "trainer":  # with an engine and a reward beside one that needs them
        run = learning_run(subject, types_of(subject)[0], **QUICK)
    else:
        run = tiny_run(subject, rows=random_rows(4), trainer=QUICK)
    return _trained(run, saves=False)


def use_quantizer(subject: Subject) -> Any:
    """Load a model with it under an adapter, and go forward."""
    run = tiny_run(subject, rows=random_rows(2), adapter=True)
    with ended(run):
        return logits(run.model)


def use_template(subject: Subject) -> Any:
    """Render a conversation and read its answer back."""
    run = _bare(subject)
    conversation = examples_of(Conversation, 1)[0]
    answer = str(conversation.messages[-1].content)
    with ended(run):
        return [
            run.hook.ft_render(run=run, conversation=conversation, generation_prompt=False),
            run.hook.ft_parse_answer(run=run, text=answer, tools=[]),
        ]


def use_dataset(subject: Subject) -> Any:
    """Read its example."""
    run = _bare(subject)
    with ended(run):
        return run.hook.ft_align_row(run=run, row=dict(subject.plugin.example))  # type: ignore


def use_any(subject: Subject) -> Any:
    """Bind it and ask what it goes with: what there is to use of any kind."""
    said = subject.bind().capabilities()
    return [sorted(words) for words in (said.needs, said.accepts, said.provides, said.conflicts)]


EXERCISES: dict[str, Callable[[Subject], Any]] = {
    "model": use_model,
    "adapter": use_adapter,
    "optimizer": use_trained,
    "trainer": use_trained,
    "quantizer": use_quantizer,
    "template": use_template,
    "dataset": use_dataset,
    **AROUND,
}
"""Kind → a function that uses a plugin once; what it returns is compared between two uses."""


def _bare(subject: Subject) -> Run:
    return Run(Selection([subject.bind()], DEFAULTS), folder=subject.folder)


def _trained(run: Run, saves: bool = True) -> list[Any]:
    with ended(run):
        losses = train(run)
        found = weights(run)
        if saves:
            save(run)
        return [losses, found]


@contextmanager
def ended(run: Run) -> Iterator[None]:
    """Have every plugin put back, at the end, what it changed outside of the run."""
    try:
        yield
    finally:
        run.selection.notify("ft_end_process", run=run, ending=True)


# -------------------------------------------------------------------------------------------
# Watching them
# -------------------------------------------------------------------------------------------


@dataclass
class Observed:
    """What was seen in the three uses of a plugin."""

    connections: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    differs: str = ""
    """What came out otherwise in the second use under the same seed, if anything did."""
    reseeded: list[str] = field(default_factory=list)
    """The generators whose state does not depend on the seed that they were given before."""


_observed: dict[tuple[Any, ...], Observed] = {}


def observe(subject: Subject) -> Observed:
    """Use a plugin and say what that did; in one process, looked at once for all checks.

    A plugin that fails in its use is judged by what it did until then: that it fails, the
    checks of its kind say.
    """
    key = (id(subject.plugin), subject.name, subject.model_type, repr(dict(subject.sample)))
    if key not in _observed:
        _observed[key] = _observe(subject)
    return _observed[key]


def _observe(subject: Subject) -> Observed:
    seen = Observed()
    own = own_module(subject.record) if subject.record is not None else ""
    file = getattr(sys.modules.get(own), "__file__", None)
    code = Path(file).parent if file else None
    with _user_folders(subject.folder / "user") as (home, work):
        with (
            watch(subject.folder, Path(tempfile.gettempdir()), code=code) as outside,
            watch_state(own) as changes,
            watch_output() as printed,
        ):
            first, states = _use(subject, seed=1)
        again, _ = _use(subject, seed=1)
        _, others = _use(subject, seed=2)
        seen.written = [*outside.written, *leftovers(home, work)]
    seen.connections, seen.changed = outside.connections, changes.found
    seen.printed = printed.lines
    seen.differs = difference(first, again)
    seen.reseeded = [name for name, state in states.items() if others[name] == state]
    return seen


def _use(subject: Subject, seed: int) -> tuple[Any, dict[str, bytes]]:
    """One use: what it returned, or how it failed, and the generators' states after it."""
    from ft.pipeline.device import seed_everything

    folder = subject.folder / "use"
    shutil.rmtree(folder, ignore_errors=True)  # the same path again: it may be in what is saved
    folder.mkdir()
    seed_everything(seed)
    # core seeds as a run begins, which would hide what a plugin does to the generators
    with patch("ft.pipeline.run.seed_everything"):
        try:
            exercise = EXERCISES.get(subject.kind, use_any)
            result = exercise(replace(subject, folder=folder, measures={}))
        except (Skip, NotRun):
            raise
        except Exception as error:
            text = error.message if isinstance(error, FtError) else str(error)
            result = f"{type(error).__name__}: {text}"
    return result, _generators()


def _generators() -> dict[str, bytes]:
    import pickle
    import random

    import numpy as np
    import torch

    return {
        "random": pickle.dumps(random.getstate()),
        "numpy.random": pickle.dumps(np.random.get_state()),
        "torch": bytes(torch.get_rng_state().tolist()),
    }


@contextmanager
def _user_folders(folder: Path) -> Iterator[tuple[Path, Path]]:
    """A home and a working folder that are empty; what lies there afterwards was left behind."""
    home, work, cache = (folder / name for name in ("home", "work", "cache"))
    for place in (home, work, cache):
        place.mkdir(parents=True)
    former, environment = Path.cwd(), dict(os.environ)
    os.environ.update(scratch_home(home, cache))
    os.chdir(work)
    try:
        yield home, work
    finally:
        os.chdir(former)
        os.environ.clear()
        os.environ.update(environment)


# -------------------------------------------------------------------------------------------
# Comparing what came out
# -------------------------------------------------------------------------------------------


def difference(one: Any, other: Any, where: str = "") -> str:
    """Where two results differ, and how; empty where they are equal to the last bit."""
    import torch

    at = f" at {where}" if where else ""
    if type(one) is not type(other):
        return f"{_short(one)} and {_short(other)}{at}"
    if isinstance(one, torch.Tensor):
        if one.shape == other.shape and one.dtype == other.dtype:
            return "" if _bits(one) == _bits(other) else f"a tensor of {tuple(one.shape)}{at}"
        return f"tensors of {tuple(one.shape)} and {tuple(other.shape)}{at}"
    if isinstance(one, str) and one != other:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        start = max(sum(1 for _ in alike) - 20, 0)
        return f"{_short(one[start:])} and {_short(other[start:])}{at}"
    if is_dataclass(one) and not isinstance(one, type):
        pairs = {f.name: (getattr(one, f.name), getattr(other, f.name)) for f in fields(one)}
    elif isinstance(one, Mapping) and one.keys() == other.keys():
        pairs = {str(key): (value, other[key]) for key, value in one.items()}
    elif isinstance(one, (list, tuple)) and len(one) == len(other):
        pairs = {str(n): both for n, both in enumerate(zip(one, other, strict=True))}
    else:
        same = one == other or (one != one and other != other)
        return "" if same else f"{_short(one)} and {_short(other)}{at}"
    found = (
        difference(a, b, f"{where}.{name}" if where else name) for name, (a, b) in pairs.items()
    )
    return next(filter(None, found), "")


def _bits(tensor: Any) -> bytes:
    import torch

    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
