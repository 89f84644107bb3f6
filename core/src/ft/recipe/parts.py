"""The parts of a run: those that the recipe names, and those that they suggest.

An option that the recipe is silent about is as the team's set has it. Only what both are silent
about can be suggested. Two suggestions that disagree are not
weighed against each other: the recipe has to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ft.api.plugin import Plugin
from ft.errors import InputError, PluginError
from ft.kinds import KINDS, Kind
from ft.plugins.index import Index, Record
from ft.plugins.load import load
from ft.plugins.policy import read_policy
from ft.recipe.document import Node
from ft.recipe.infer import installed
from ft.recipe.keys import (
    DATA,
    EVAL_DATA,
    MODEL,
    PART_KINDS,
    DataKeys,
    Key,
    ModelKeys,
    PartKeys,
    dotted,
    option_fields,
)
from ft.recipe.read import Recipe

CORE_KEYS = {
    "model": frozenset(ModelKeys.model_fields),
    "dataset": frozenset(DataKeys.model_fields),
}


@dataclass(slots=True)
class Draft:
    """A part before its options are validated.

    ``name`` and ``options`` are nodes whose place is their origin: a line of the recipe, or
    ``suggested by trainer:sft``. ``plugin`` is loaded and not bound.
    """

    key: Key
    record: Record
    plugin: Plugin
    name: Node
    options: dict[str, Node]


@dataclass(frozen=True, slots=True)
class _Suggestion:
    by: str
    name: str | None
    options: Mapping[str, Any]

    @property
    def origin(self) -> str:
        return f"suggested by {self.by}"


def find(index: Index, kind: str, name: Node) -> Record:
    """The record that ``name`` means; an error says where it was written."""
    try:
        return index.find(kind, name.value)
    except InputError as error:
        error.where = error.where or name.place
        raise


def draft(key: Key, record: Record, name: Node, written: Node | None) -> Draft:
    """Load the plugin of ``record``, with the options that the recipe gives it."""
    plugin = load(record)
    own = CORE_KEYS.get(record.kind, frozenset(PartKeys.model_fields))
    if taken := own & option_fields(type(plugin).Options).keys():
        raise PluginError(
            record.id, f"its option {min(taken)} is a key of the recipe itself and cannot be set"
        )
    written_options = written.value.items() if written and written.value else ()
    options = {option: node for option, node in written_options if option not in own}
    return Draft(key, record, plugin, name, options)


def complete(
    recipe: Recipe, index: Index, fixed: Sequence[Draft], inferred: Mapping[str, Node]
) -> list[Draft]:
    """All parts: ``fixed`` (model and data), those of the recipe, those suggested.

    ``inferred`` are names, by key, that count where the recipe is silent and before any
    suggestion. Options of the set, and suggested ones, are filled in. The parts come in the
    order of a recipe.
    """
    parts = _Parts(recipe, index, inferred)
    for part in fixed:
        parts.add(part)
    while parts.fill():
        pass
    parts.check_names()
    defaults, origin = read_policy().defaults()
    for part in parts.drafts.values():
        for option, value in defaults.get(part.record.id, {}).items():
            part.options.setdefault(option, Node.of(value, origin))
        parts.fill_options(part)
    order = [MODEL, DATA, EVAL_DATA, *PART_KINDS]
    return sorted(parts.drafts.values(), key=lambda part: order.index(str(part.key[0])))


class _Parts:
    def __init__(self, recipe: Recipe, index: Index, inferred: Mapping[str, Node]):
        self.drafts: dict[Key, Draft] = {}
        self._recipe = recipe
        self._index = index
        self._inferred = inferred
        self._suggestions: dict[str, list[_Suggestion]] = {}

    def add(self, part: Draft) -> None:
        """Take a part up and hear what it suggests."""
        self.drafts[part.key] = part
        by = part.record.id
        for key, value in part.plugin.suggests.items():
            if key not in PART_KINDS and key != MODEL:
                raise PluginError(by, f"it suggests {key}, which is no part of a recipe")
            for entry in value if isinstance(value, (list, tuple)) else [value]:
                options = {"name": entry} if isinstance(entry, str) else dict(entry)
                suggestion = _Suggestion(by, options.pop("name", None), options)
                if suggestion not in self._suggestions.setdefault(key, []):
                    self._suggestions[key].append(suggestion)

    def fill(self) -> bool:
        """Add parts that are named by now; false when there are no more."""
        count = len(self.drafts)
        for key, kind in PART_KINDS.items():
            node = self._recipe.get(key)
            if node is not None and node.value is None:
                continue  # the recipe says: none of this kind
            if kind.many:
                self._fill_list(key, kind, node)
            else:
                self._fill_one(key, kind, node)
        return len(self.drafts) > count

    def _fill_one(self, key: str, kind: Kind, written: Node | None) -> None:
        name = self._name(key, kind, written)
        if name is not None and (key,) not in self.drafts:
            self.add(draft((key,), find(self._index, kind.name, name), name, written))

    def _name(self, key: str, kind: Kind, written: Node | None) -> Node | None:
        if written is not None and (name := written.value.get("name")) and name.value:
            return name
        if key in self._inferred:
            return self._inferred[key]
        suggestions = [s for s in self._suggestions.get(key, ()) if s.name]
        different = {s.name: s for s in suggestions}
        if len(different) > 1:
            first, second, *_ = different.values()
            raise InputError(
                f"{first.by} suggests {key}: {first.name}, and {second.by} suggests "
                f"{key}: {second.name}",
                where=str(self._recipe.path),
                hint=f"choose one in the recipe, such as {key}: {first.name}",
            )
        if suggestions:
            return self._suggested_name(key, kind, suggestions[0])
        return None

    def _fill_list(self, key: str, kind: Kind, written: Node | None) -> None:
        entries: list[Node] = written.value if written is not None else []
        for number, entry in enumerate(entries):
            if ((name := entry.value.get("name")) is None) or not name.value:
                raise self._nameless((key, number), kind, entry)
            if (key, number) not in self.drafts:
                record = find(self._index, kind.name, name)
                self.add(draft((key, number), record, name, entry))
        named = [part.record.name for at, part in self.drafts.items() if at[0] == key]
        for suggestion in [s for s in self._suggestions.get(key, ()) if s.name]:
            name = self._suggested_name(key, kind, suggestion)
            record = find(self._index, kind.name, name)
            if record.name not in named:
                self.add(draft((key, len(named)), record, name, None))
                named.append(record.name)

    def check_names(self) -> None:
        """Refuse options of a part that nobody named, once everybody was heard."""
        for key, kind in PART_KINDS.items():
            written = self._recipe.get(key)
            if (
                written is not None
                and written.value
                and not kind.many
                and (key,) not in self.drafts
            ):
                raise self._nameless((key,), kind, written)

    def _suggested_name(self, key: str, kind: Kind, suggestion: _Suggestion) -> Node:
        """The suggested name, once it is known to be installed."""
        name = Node(suggestion.name, suggestion.origin)
        try:
            self._index.find(kind.name, suggestion.name or "")
        except InputError as error:
            raise InputError(
                f"{suggestion.by} suggests {key}: {suggestion.name}, which cannot be used: "
                f"{error.message}",
                where=str(self._recipe.path),
                hint=f"install it, choose another {kind.name}, or write {key}: null for none",
            ) from error
        return name

    def _nameless(self, key: Key, kind: Kind, written: Node) -> InputError:
        return InputError(
            f"{dotted(key)}: it has options and no name, and no other part suggests one",
            where=written.place,
            hint=f"add name: {' | '.join(installed(self._index, kind.name))}",
        )

    def fill_options(self, part: Draft) -> None:
        """Add what others suggest for options that nobody has given."""
        key = str(part.key[0])
        fields = option_fields(type(part.plugin).Options)
        suggested: dict[str, _Suggestion] = {}
        for suggestion in self._suggestions.get(key, ()):
            if suggestion.name not in (None, part.record.name):
                continue
            for option, value in suggestion.options.items():
                if option in part.options or (suggestion.name is None and option not in fields):
                    continue
                former = suggested.setdefault(option, suggestion)
                if former.options[option] != value:
                    at = dotted((*part.key, option))
                    raise InputError(
                        f"{former.by} suggests {at}: {former.options[option]}, and "
                        f"{suggestion.by} suggests {value}",
                        where=str(self._recipe.path),
                        hint=f"choose one in the recipe: {KINDS[part.record.kind].key}: "
                        f"{{name: {part.record.name}, {option}: {value}}}",
                    )
        for option, suggestion in suggested.items():
            part.options[option] = Node.of(suggestion.options[option], suggestion.origin)
