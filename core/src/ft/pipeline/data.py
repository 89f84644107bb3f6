"""Prepare the data of a run: training rows, evaluation sets, packs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ft.api import Example, InputError, Progress, Run
from ft.api.trainer import Streaming
from ft.data.mix import mixed, set_aside
from ft.data.pack import pack
from ft.data.prepare import examples_at
from ft.data.prepared import Set, prepare_set, rows_of
from ft.data.stream import Stream
from ft.pipeline.device import choose_device
from ft.pipeline.load import load_config, load_processor, settle_template
from ft.plugins.health import cache_dir
from ft.recipe.keys import HELD_OUT
from ft.recipe.resolved import DataPart, Resolved
from ft.training.sample import COUNT, prompts_of


class Packs(Sequence[Any]):
    """Rows joined into packs of at most ``max_length`` tokens, each item a list of rows."""

    def __init__(self, rows: Any, max_length: int):
        self.rows = rows
        lengths = [int(length) for length in rows.lengths]
        packs = pack(lengths, max_length)
        # flat, since a list of lists takes many times the memory
        self._rows = np.array([i for group in packs for i in group], np.int64)
        self._ends = np.cumsum([len(group) for group in packs], dtype=np.int64)
        self.lengths = np.array([sum(lengths[i] for i in group) for group in packs], np.int64)
        self.report = rows.report

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        stop = self._ends[index]
        start = self._ends[index % len(self) - 1] if index % len(self) else 0
        return [self.rows[i] for i in self._rows[start:stop].tolist()]


def cache_folder() -> Path:
    """Where prepared data is kept."""
    return cache_dir() / "data"


def prepare_data(run: Run, resolved: Resolved) -> list[Set]:
    """Read, align, encode, mix and pack the rows of ``data`` and ``eval_data``.

    Each data set is encoded once and kept in the cache; how much of it a run takes, in which
    order, and what is held out, is decided here. Returns the data sets.
    """
    options = run.part("trainer").options
    if options.streaming:
        return _stream(run, resolved)
    sets = [prepare_set(run, part, cache_folder()) for part in resolved.data]
    chosen = mixed(
        [len(one.rows.table()) for one in sets],
        [part.weight for part in resolved.data],
        [part.name for part in resolved.data],
        resolved.mix,
        run.seed,
    )
    aside = np.zeros(0, np.int64)
    if resolved.eval_split:
        chosen, aside = set_aside(chosen, resolved.eval_split, run.seed)
    rows = rows_of(run, sets, chosen)
    run.data = Packs(rows, options.max_length) if options.packing else rows
    if resolved.eval_split:
        run.eval_data[HELD_OUT] = rows_of(run, sets, aside)
        run.eval_prompts = prompts_of(_examples(run, resolved.data, sets, aside))
    sets += _evaluation(run, resolved)
    if run.process.is_main:
        if not any(one.made for one in sets):
            run.progress.say("the data was prepared before and is read from the cache")
        run.progress.say(run.data.report.text())
    _tell_of_evaluation(run)
    return sets


def _evaluation(run: Run, resolved: Resolved) -> list[Set]:
    sets = [prepare_set(run, part, cache_folder()) for part in resolved.eval_data]
    for part, one in zip(resolved.eval_data, sets, strict=True):
        run.eval_data[part.name] = rows_of(run, [one], np.arange(len(one.rows.table())))
    return sets


def _tell_of_evaluation(run: Run) -> None:
    """What is left of the sets to measure on: what was dropped or cut changes what is measured."""
    if run.process.is_main:
        for name, rows in run.eval_data.items():
            run.progress.say(f"{name}, to measure on: {rows.report.text()}")


def _stream(run: Run, resolved: Resolved) -> list[Set]:
    """Only the evaluation sets are prepared."""
    if resolved.eval_split:
        raise InputError(
            "eval_split sets rows of the data aside, and streamed data is not known ahead",
            hint="give the rows to measure on as eval_data, or leave trainer.streaming out",
        )
    wanted = run.part("trainer").options.streaming
    settings = Streaming.model_validate({}) if wanted is True else wanted
    run.data = Stream(run, resolved.data, resolved.mix, settings.buffer)
    sets = _evaluation(run, resolved)
    _tell_of_evaluation(run)
    return sets


def _examples(
    run: Run, parts: Sequence[DataPart], sets: Sequence[Set], examples: np.ndarray
) -> list[Example]:
    """The first of these examples once more: what is stored of them are token ids."""
    start = 0
    found: list[Example] = []
    for part, one in zip(parts, sets, strict=True):
        count = len(one.rows.table())
        wanted = examples[(examples >= start) & (examples < start + count)] - start
        found += islice(examples_at(run, part, wanted[: 4 * COUNT].tolist()), 4 * COUNT)
        start += count
    return found


def prepared_run(resolved: Resolved, progress: Progress) -> tuple[Run, list[Set]]:
    """A run whose data is prepared and whose model is not loaded, and its data sets."""
    run = Run(
        resolved.selection,
        folder=resolved.output,
        source=resolved.source,
        seed=resolved.seed,
        progress=progress,
    )
    run.device = choose_device("cpu")
    run.model_folder = resolved.model_folder
    load_config(run)
    load_processor(run)
    settle_template(run, resolved)
    return run, prepare_data(run, resolved)
