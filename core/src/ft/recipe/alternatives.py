"""The nearest recipe that fits: the smallest edits after which nothing is amiss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import pydantic

from ft.api.capability import VOCABULARY
from ft.api.plugin import Plugin
from ft.errors import FtError, InputError
from ft.kinds import KINDS
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.recipe.fit import Misfit, capabilities, misfits
from ft.recipe.keys import PART_KINDS, REQUIRED
from ft.recipe.write import yaml_text

FIXED = ("model", "dataset", "source")
"""What the user starts from: no edit puts another in its place."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change to a recipe: ``text`` for people, ``override`` for the command line.

    ``old`` gives way to ``new``; ``None`` stands for no plugin. ``override`` is empty where
    an entry of a list would have to go.
    """

    text: str
    override: str
    old: Plugin | None
    new: Plugin | None


def nearest(plugins: Sequence[Plugin], index: Index) -> list[Edit] | None:
    """The fewest edits (one or two) that make ``plugins`` fit; ``None`` where none do.

    Tried in turn: switching an option of a plugin concerned, a part that brings what is
    missing, another plugin in the place of one concerned, leaving it out.
    """
    amiss = misfits(plugins)
    first = list(_edits(plugins, amiss, index))
    for edit in first:
        if not misfits(_apply(plugins, edit)):
            return [edit]
    for edit, changed in ((edit, _apply(plugins, edit)) for edit in first):
        left = misfits(changed)
        if len(left) < len(amiss):
            for second in _edits(changed, left, index):
                if second.old is not edit.new and not misfits(_apply(changed, second)):
                    return [edit, second]
    return None


def refuse_misfits(plugins: Sequence[Plugin], index: Index) -> None:
    """Raise :class:`InputError` where ``plugins`` do not fit, with the nearest that do."""
    found = misfits(plugins)
    if not found:
        return
    edits = nearest(plugins, index)
    raise InputError(
        " ".join(["this recipe does not fit.", *(misfit.sentence for misfit in found)]),
        hint=f"what fits: {'; '.join(edit.text for edit in edits)}" if edits else None,
    )


def _apply(plugins: Sequence[Plugin], edit: Edit) -> list[Plugin]:
    kept = [edit.new if plugin is edit.old else plugin for plugin in plugins]
    added = [edit.new] if edit.old is None else []
    return [plugin for plugin in (*kept, *added) if plugin is not None]


def _edits(plugins: Sequence[Plugin], amiss: Sequence[Misfit], index: Index) -> Iterator[Edit]:
    concerned = list(dict.fromkeys(p for misfit in amiss for p in misfit.plugins))
    movable = [plugin for plugin in concerned if plugin.kind not in FIXED]
    for plugin in movable:
        yield from _switches(plugin)
    yield from _bringers(plugins, amiss, index)
    for plugin in movable:
        for other in _candidates(index, plugin.kind):
            if other.name != plugin.name:
                yield _replace(plugin, other)
    for plugin in movable:
        key = KINDS[plugin.kind].key or ""
        if key not in REQUIRED:
            override = "" if PART_KINDS[key].many else f"{key}=null"
            yield Edit(f"no {key} {plugin.name}", override, plugin, None)


def _switches(plugin: Plugin) -> Iterator[Edit]:
    """Each boolean option the other way round, and each that can be unset without a value."""
    key = KINDS[plugin.kind].key or ""
    values = dict(plugin.options)
    for option, value in values.items():
        if value is None:
            continue
        other = not value if isinstance(value, bool) else None
        try:
            new = plugin.bind(plugin.name, {**values, option: other})
        except pydantic.ValidationError:
            continue
        if other is None and capabilities(new) == capabilities(plugin):
            continue  # most of them have nothing to do with what fits
        now = yaml_text(other)
        text = f"{key}.{option}: {now}"
        if other is not None:
            text += f" instead of {yaml_text(value)}"
        override = "" if PART_KINDS[key].many else f"{key}.{option}={now}"
        yield Edit(text if other is not None else f"set {text}", override, plugin, new)


def _replace(plugin: Plugin, other: Plugin) -> Edit:
    """``other`` in the place of ``plugin``, with the options that both have."""
    key = KINDS[plugin.kind].key or ""
    common = {
        option: value
        for option, value in plugin.options
        if option in type(other).Options.model_fields and option in plugin.options.model_fields_set
    }
    try:
        other = other.bind(other.name, common)
        keeps = ".name"
    except pydantic.ValidationError:
        keeps = ""
    override = "" if PART_KINDS[key].many else f"{key}{keeps if common else ''}={other.name}"
    return Edit(f"{key}: {other.name} instead of {plugin.name}", override, plugin, other)


def _bringers(plugins: Sequence[Plugin], amiss: Sequence[Misfit], index: Index) -> Iterator[Edit]:
    """Parts that bring what is lacking: beside the others, or in the place of one."""
    lacking = dict.fromkeys(misfit.capability for misfit in amiss if misfit.lacking)
    for word, (key, kind) in product(filter(None, lacking), PART_KINDS.items()):
        present = [plugin for plugin in plugins if plugin.kind == kind.name]
        for other in _candidates(index, kind.name):
            if word not in capabilities(other).provides:
                continue
            if present and not kind.many:
                yield _replace(present[0], other)
                continue
            override = f"{key}=[{other.name}]" if kind.many else f"{key}={other.name}"
            text = f"{key}: {other.name}, which brings {VOCABULARY[word].sentence}"
            yield Edit(text, "" if present else override, None, other)


def _candidates(index: Index, kind: str) -> Iterator[Plugin]:
    """The installed plugins of a kind that load and need no options, bound to defaults."""
    for record in index.records:
        if record.kind == kind and record.state == "ok":
            try:
                yield load(record).bind(record.name, distribution=record.distribution)
            except (FtError, pydantic.ValidationError):
                continue
