"""Two plugins in one short run: whether it trains."""

from __future__ import annotations

import gc
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ft.api import InputError, Plugin, Run
from ft.conformance.bench import save, tiny_run, train
from ft.conformance.check import NotRun
from ft.conformance.examine import describe
from ft.conformance.exercise import ended
from ft.conformance.learning import learning_run, types_of
from ft.conformance.process import one_thread
from ft.conformance.steps import RATES, bound, loop_options, rates
from ft.conformance.subject import Subject
from ft.plugins.load import import_plugin
from ft.plugins.record import Record
from ft.recipe.fit import misfits

KINDS = ("trainer", "adapter", "quantizer", "optimizer")
"""The kinds of which two plugins can be put into a run of the kit."""
STEPS = 5
ROWS = 8
"""All rows of the kit in each batch, so that every step sees the same."""
PROMPTS = 2
"""Rows in a batch of a trainer that writes answers to them, several to each."""
FOLDER = "pair"
FALL = 1e-4
"""The share of the first loss by which the last one must be lower: more than rounding."""

Became = Literal["trains", "refused", "not-run", "failed"]


@dataclass(frozen=True)
class Trial:
    """What became of a pair.

    * ``trains``: five steps on one batch, and the loss of the fifth is below that of the first;
      of a trainer that learns from what the model writes: every loss is a number, and weights
      moved. The result was saved;
    * ``refused``: ``ft check`` says why it does not fit;
    * ``not-run``: one of the two does not work on this machine, whatever is beside it;
    * ``failed``.

    ``losses`` are those of the steps, at the learning rate ``rate``.
    """

    became: Became
    why: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    rate: float | None = None


class Tryout:
    """Answers pairs of records with trials, in a process of its own; its folder is the worker's."""

    def __call__(self, pair: tuple[Record, Record]) -> Trial:
        one_thread()
        folder = Path.cwd()
        for former in folder.glob(f"{FOLDER}*"):
            shutil.rmtree(former, ignore_errors=True)
        subjects: dict[str, Subject] = {}
        try:
            for record in pair:
                plugin = import_plugin(record)
                sample = plugin.samples[0]
                subjects[record.kind] = Subject(plugin, record.name, folder, record, sample)
            return try_together(subjects)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return Trial("failed", (describe(error),))
        finally:
            gc.collect()


def try_together(subjects: Mapping[str, Subject]) -> Trial:
    """Train with the subjects at one learning rate after the other, until one will do."""
    pair = [subject.bind() for subject in subjects.values()]
    refused = tuple(m.sentence for m in misfits(pair) if not m.lacking)
    if refused:
        return Trial("refused", refused)
    optimizer = subjects.get("optimizer")
    tried = []
    for rate in rates(optimizer) if optimizer else (1e-2, *RATES):
        try:
            losses = _trained(subjects, rate)
        except InputError as error:
            return _unready(subjects, error)
        except NotRun as reason:
            return Trial("not-run", (str(reason),))
        if losses is not None:
            return Trial("trains", (), tuple(losses), rate)
        tried.append(f"{rate:g}")
    return Trial("failed", (f"it does not learn at the learning rates {', '.join(tried)}",))


def _trained(subjects: Mapping[str, Subject], rate: float) -> list[float] | None:
    """The losses of a run that learned something, and was saved."""
    run = _run(subjects, rate)
    with ended(run):
        # the frozen ones may be of types that cannot be compared
        before = {name: p.detach().clone() for name, p in run.trainable()}
        losses = train(run)
        now = dict(run._parameters())
        moved = any(not now[name].equal(former) for name, former in before.items())
        save(run)
    falls = _writes(run.part("trainer")) or losses[-1] < losses[0] - FALL * abs(losses[0])
    numbers = all(map(math.isfinite, losses))
    return losses if moved and numbers and falls else None


def _run(subjects: Mapping[str, Subject], rate: float) -> Run:
    """A run with the subjects in their places, and the kit's own plugins in the others."""
    from ft.conformance.reference import REFERENCES

    optimizer, trainer = subjects.get("optimizer"), subjects.get("trainer")
    settings = {"learning_rate": rate, "schedule": "constant"}
    parts: dict[str, Any] = {
        "optimizer": bound(optimizer, **settings)
        if optimizer
        else REFERENCES["optimizer"].bind("reference", settings)
    }
    if "quantizer" in subjects:
        parts["quantizer"] = subjects["quantizer"].bind()
    # a quantized base has to have an adapter
    adapter: bool | Plugin = "quantizer" in subjects
    if "adapter" in subjects:
        adapter = subjects["adapter"].bind()
    options: dict[str, Any] = {"steps": STEPS, "batch_size": ROWS}
    if optimizer:
        options = loop_options(optimizer, **options)
    if trainer is None:
        subject = next(iter(subjects.values()))
        return tiny_run(subject, folder=FOLDER, trainer=options, adapter=adapter, **parts)
    kind = types_of(trainer)[0]
    if _writes(trainer.bind()):
        options["batch_size"] = PROMPTS
    return learning_run(trainer, kind, folder=FOLDER, adapter=adapter, parts=parts, **options)


def _writes(trainer: Plugin) -> bool:
    """Whether a trainer learns from what the model writes, another thing in each step."""
    return "generation" in trainer.capabilities().provides


def _unready(subjects: Mapping[str, Subject], refusal: InputError) -> Trial:
    """What to say of a pair that refuses to start: whether one of the two always does."""
    for kind, subject in subjects.items():
        try:
            with ended(_run({kind: subject}, RATES[0])):
                pass
        except InputError as error:
            return Trial("not-run", (error.message,))
    return Trial("failed", (f"refused, though ft check finds that it fits: {refusal}",))
