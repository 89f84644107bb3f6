"""Which installed plugins of two kinds go together, pair by pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pydantic

from ft.api.plugin import Plugin
from ft.errors import FtError, InputError
from ft.kinds import KINDS
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.plugins.record import Record
from ft.recipe.fit import capabilities, misfits
from ft.recipe.problems import did_you_mean

_ASKED = [name for name, kind in KINDS.items() if kind.key is not None]


@dataclass(frozen=True, slots=True)
class Matrix:
    """``cells[row][column]`` are the reasons against a pair: none where it goes together.

    ``left_out`` says which plugins could not be asked, and why.
    """

    kinds: tuple[str, str]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]
    left_out: tuple[str, ...] = ()


def matrix(index: Index, rows: str, columns: str) -> Matrix:
    """Judge each pair of usable plugins of kind ``rows`` and kind ``columns``.

    Plugins have their default options, or those of their first sample where they have to be
    given some. What a third part might bring is not held against a pair. Raises
    :class:`InputError` for an unknown kind.
    """
    for kind in (rows, columns):
        if kind not in _ASKED:
            raise InputError(f"no part of a recipe is a {kind}", hint=did_you_mean(kind, _ASKED))
    bound: dict[str, list[Plugin]] = {kind: [] for kind in _ASKED}
    left_out: list[str] = []
    for record in (record for record in index.records if record.kind in _ASKED):
        try:
            bound[record.kind].append(_bound(record))
        except (FtError, pydantic.ValidationError) as error:
            if record.kind in (rows, columns):
                reason = (
                    error.message if isinstance(error, FtError) else "it has no default options"
                )
                left_out.append(f"{record.id}: {reason}")
    bringers: dict[str, set[str]] = {}
    for plugin in (plugin for plugins in bound.values() for plugin in plugins):
        for word in capabilities(plugin).provides:
            bringers.setdefault(word, set()).add(plugin.kind)
    return Matrix(
        kinds=(rows, columns),
        rows=tuple(plugin.name for plugin in bound[rows]),
        columns=tuple(plugin.name for plugin in bound[columns]),
        cells=tuple(
            tuple(_reasons((row, column), bringers) for column in bound[columns])
            for row in bound[rows]
        ),
        left_out=tuple(left_out),
    )


def in_general(reasons: Sequence[str], kinds: Iterable[str]) -> list[str]:
    """Reasons without names of plugins of these kinds: the same for all that it holds for."""
    found = []
    for reason in reasons:
        for kind in kinds:
            reason = re.sub(rf"\b{kind}:[\w.-]*\w", f"the {kind}", reason)
        found.append(reason[:1].upper() + reason[1:])
    return found


def _bound(record: Record) -> Plugin:
    """A plugin with its default options, or those of its first sample."""
    plugin = load(record)
    try:
        return plugin.bind(record.name, distribution=record.distribution)
    except pydantic.ValidationError:
        if not (sample := plugin.samples[0]) or any(map(callable, sample.values())):
            raise
        return plugin.bind(record.name, sample, distribution=record.distribution)


def _reasons(pair: tuple[Plugin, Plugin], bringers: Mapping[str, set[str]]) -> tuple[str, ...]:
    kinds = {plugin.kind for plugin in pair}
    reasons = []
    for misfit in misfits(pair):
        # a third part may bring what is lacking, unless only these two kinds ever do
        able = bringers.get(misfit.capability or "", set())
        if not misfit.lacking or (able and able <= kinds):
            reasons.append(misfit.sentence)
    return tuple(reasons)
