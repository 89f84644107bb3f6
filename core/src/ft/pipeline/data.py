"""Prepare the data of a run: training rows, evaluation sets, packs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ft.api import Run
from ft.data.pack import pack
from ft.data.prepare import Prepared, encode_examples, load_examples, split_eval
from ft.pipeline.load import load_config, load_processor, settle_template
from ft.recipe.keys import HELD_OUT
from ft.recipe.resolved import Resolved


class Packs(Sequence):
    """Rows joined into packs of at most ``max_length`` tokens, each item a list of rows."""

    def __init__(self, rows: Prepared, max_length: int):
        self.rows = rows
        self.packs = pack(rows.lengths, max_length)
        self.lengths = [sum(rows.lengths[i] for i in group) for group in self.packs]
        self.report = rows.report

    def __len__(self) -> int:
        return len(self.packs)

    def __getitem__(self, index: Any) -> Any:
        return [self.rows[i] for i in self.packs[index]]


def prepare_data(run: Run, resolved: Resolved) -> None:
    """Read, align, encode and pack the rows of ``data`` and ``eval_data``."""
    options = run.part("trainer").options
    examples, report = load_examples(run, resolved.data)
    held_out: list[Any] = []
    if resolved.eval_split:
        examples, held_out = split_eval(examples, resolved.eval_split, run.seed)
    rows = encode_examples(run, examples, report)
    run.data = Packs(rows, options.max_length) if options.packing else rows
    if held_out:
        run.eval_data[HELD_OUT] = encode_examples(run, held_out)
    for part in resolved.eval_data:
        run.eval_data[part.name] = encode_examples(run, *load_examples(run, [part]))
    if run.process.is_main:
        run.progress.say(run.data.report.text())


def prepared_for_show(resolved: Resolved, folder: Path) -> Run:
    """A run whose data is prepared and whose model is not loaded."""
    run = Run(resolved.selection, folder=folder, source=resolved.source, seed=resolved.seed)
    run.model_folder = resolved.model_folder
    load_config(run)
    load_processor(run)
    settle_template(run, resolved)
    prepare_data(run, resolved)
    return run
