"""From a recipe as written to one in which nothing is open any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from ft.api.model import ModelFamily
from ft.api.plugin import Plugin
from ft.api.progress import Progress
from ft.errors import InputError
from ft.plugins.index import Index, Record
from ft.plugins.load import load
from ft.plugins.selection import Selection
from ft.recipe.document import Node
from ft.recipe.infer import ANY, infer_family, infer_format, infer_quantizer, installed
from ft.recipe.keys import (
    DATA,
    EVAL_DATA,
    HELD_OUT,
    MODEL,
    PART_KINDS,
    REQUIRED,
    TOP_KEYS,
    DataKeys,
    Key,
    RunKeys,
    dotted,
    option_fields,
)
from ft.recipe.parts import Draft, complete, draft, find
from ft.recipe.problems import Problems
from ft.recipe.read import Recipe
from ft.recipe.resolved import DataPart, Resolved, Setting
from ft.recipe.sources import Located, Sources

EXAMPLES = {MODEL: "model: org/name, or a folder", DATA: "data: train.jsonl"}


def resolve(
    recipe: Recipe,
    index: Index,
    *,
    progress: Progress | None = None,
    fetch_weights: bool = True,
    required: Sequence[str] = REQUIRED,
) -> Resolved:
    """Find, infer, validate and bind every part of ``recipe``.

    Without ``fetch_weights`` sources are asked for a model's configuration alone. Every
    inference is said to ``progress`` and kept in ``settings`` with its origin. ``required``
    are the keys that must be there; a trained model is opened with fewer. Whether the
    parts go together is a question for :func:`ft.recipe.fit.misfits`.

    Raises :class:`InputError` for what is missing, unknown, invalid or cannot be inferred.
    """
    return _Resolver(recipe, index, progress or Progress(), fetch_weights, required).resolve()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of ``data`` or ``eval_data``, found; ``own`` are core's values of it."""

    own: DataKeys
    located: Located
    part: Draft
    name: str


class _Resolver:
    def __init__(
        self,
        recipe: Recipe,
        index: Index,
        progress: Progress,
        fetch_weights: bool,
        required: Sequence[str],
    ):
        self.required = required
        self.recipe = recipe
        self.index = index
        self.progress = progress
        self.fetch_weights = fetch_weights
        self.sources = Sources(index, recipe.folder, progress)
        self.settings: dict[str, Setting] = {}
        self.template_names: list[str] = []

    def resolve(self) -> Resolved:
        self._require([key for key in (MODEL, DATA) if key in self.required], self._written)
        model, folder = self._model()
        data, eval_data = self._data(DATA), self._data(EVAL_DATA)
        fixed = [model, *(entry.part for entry in (*data, *eval_data))]
        inferred = {**self._family_template(model), **self._quantizer(folder)}
        parts = complete(self.recipe, self.index, fixed, inferred)
        self._require(self.required, {part.key[0] for part in parts})
        bound = self._bind(parts)
        own = self._run_keys()
        self._order_settings()

        from ft.pipeline.defaults import DEFAULTS

        return Resolved(
            selection=Selection([*bound.values(), *self.sources.plugins], DEFAULTS),
            source=self.settings["model.source"].value,
            model_folder=folder,
            data=tuple(_data_part(entry, bound) for entry in data),
            eval_data=tuple(_data_part(entry, bound) for entry in eval_data),
            eval_split=own.eval_split,
            mix=own.mix,
            seed=own.seed,
            device=own.device,
            output=Path(self.settings["output"].value),
            template_choices=self._template_choices(bound),
            settings=self.settings,
            recipe_text=self.recipe.text,
        )

    # -- what must be there ------------------------------------------------------------------

    @property
    def _written(self) -> set[str | int]:
        return {key for key, node in self.recipe.root.value.items() if node.value}

    def _require(self, keys: Iterable[str], present: set[str | int]) -> None:
        problems = Problems(self.recipe.place)
        for key in keys:
            if key in present:
                continue
            choices = EXAMPLES.get(key)
            if choices is None:
                names = installed(self.index, PART_KINDS[key].name)
                choices = f"{key}: {' | '.join(names) or '(none is installed)'}"
            problems.add((), f"the recipe has no {key}", f"add {choices}")
        problems.raise_any()

    # -- inference ---------------------------------------------------------------------------

    def _set(self, key: Key, value: Any, origin: str) -> None:
        self.settings[dotted(key)] = Setting(value, origin)

    def _infer(self, key: Key, value: Any, origin: str) -> None:
        self._set(key, value, f"inferred from {origin}")
        self.progress.say(f"{dotted(key)}: {value} (inferred from {origin})")

    def _name(self, written: Node | None, key: Key, record: Record, origin: str) -> Node:
        """Note a plugin's name, which was ``written`` or inferred."""
        if written is not None and written.value:
            self._set(key, written.value, written.place)
            return written
        self._infer(key, record.name, origin)
        return Node(record.name, f"inferred from {origin}")

    def _model(self) -> tuple[Draft, Path]:
        node = self.recipe.root.value[MODEL]
        source = node.value["source"]
        what = "model" if self.fetch_weights else "config"
        revision = node.value.get("revision")
        located = self.sources.locate(
            source.value, what, source.place, revision.value if revision else None
        )
        self._set((MODEL, "source"), located.source, source.place)
        written = node.value.get("family")
        if written is not None and written.value:
            record, origin = find(self.index, "model", written), ""
        else:
            names = (source.value, source.value.partition(":")[2])
            record, origin = infer_family(self.index, names, located.path, source.place)
            if record in self.index.match("model_type", ANY):
                self.progress.warn(
                    f"{source.value}: {origin.removeprefix('nothing: ')}; {record.name} loads "
                    "it, without knowing its template or its quirks"
                )
                origin = "no claim of another family"
        name = self._name(written, (MODEL, "family"), record, origin)
        return draft((MODEL,), record, name, node), located.path

    def _data(self, key: str) -> list[_Entry]:
        node = self.recipe.get(key)
        split = self.recipe.get("eval_split")
        # what eval_split sets aside is an evaluation set as well
        taken = {HELD_OUT} if key == EVAL_DATA and split and split.value else set()
        out: list[_Entry] = []
        for number, entry in enumerate(node.value or () if node else ()):
            out.append(self._entry((key, number), entry, taken))
            taken.add(out[-1].name)
        return out

    def _entry(self, key: Key, node: Node, taken: set[str]) -> _Entry:
        plain = node.plain()
        own = DataKeys(**{name: plain[name] for name in DataKeys.model_fields if name in plain})
        path = node.value["path"]
        located = self.sources.locate(own.path, "data", path.place)
        written = node.value.get("format")
        if own.format:
            record, origin = find(self.index, "dataset", written), ""
        else:
            from ft.data.read import first_row

            row = first_row(located.path, split=own.split, subset=own.subset)
            record, origin = infer_format(self.index, row, path.place)
        name = self._data_name(own, located, taken, key)
        for field, value in own.model_dump().items():
            origin_of = node.value[field].place if field in node.value else "default of ft"
            self._set((*key, field), value, origin_of)
        self._set((*key, "path"), located.source, path.place)
        if own.name is None:
            self._set((*key, "name"), name, "inferred from the path")
        part = draft(key, record, self._name(written, (*key, "format"), record, origin), node)
        return _Entry(own, located, part, name)

    def _data_name(self, own: DataKeys, located: Located, taken: set[str], key: Key) -> str:
        if own.name is not None:
            if own.name in taken:
                raise InputError(
                    f"{dotted(key)}.name: another data set is called {own.name}",
                    where=self.recipe.place((*key, "name")),
                    hint="give each its own name",
                )
            return own.name
        stem = Path(located.source.rpartition(":")[2]).name.partition(".")[0] or "data"
        numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in (stem, *numbered) if name not in taken)

    def _family_template(self, family: Draft) -> dict[str, Node]:
        """The template that the family names, where the recipe names none and it is there."""
        names = family.plugin.templates if isinstance(family.plugin, ModelFamily) else ()
        written = self.recipe.get("template")
        if not names or (written and (not written.value or "name" in written.value)):
            return {}
        by = family.record.id
        self.template_names = [n for n in names if n in installed(self.index, "template")]
        if not self.template_names:
            if written is None:
                wanted = " or ".join(names)
                self._infer(("template",), None, f"{by}, whose template {wanted} is not installed")
            return {}
        return {"template": Node(self.template_names[0], f"inferred from {by}")}

    def _quantizer(self, folder: Path) -> dict[str, Node]:
        """The quantizer of a checkpoint that is quantized already."""
        written = self.recipe.get("quantizer")
        name = written.value.get("name") if written and written.value else None
        named = find(self.index, "quantizer", name) if name and name.value else None
        place = (name or written or self.recipe.root.value[MODEL].value["source"]).place
        found = infer_quantizer(self.index, folder, named, place)
        if found is None or named is not None:
            return {}
        record, origin = found
        if written is not None and written.value is None:
            raise InputError(
                f"quantizer is null, and the weights of this checkpoint are quantized: {origin}",
                where=written.place,
                hint="remove the line, or take a checkpoint that is not quantized",
            )
        self.progress.say(f"quantizer: {record.name} (inferred from {origin})")
        return {"quantizer": Node(record.name, f"inferred from {origin}")}

    def _template_choices(self, bound: Mapping[Key, Plugin]) -> tuple[Plugin, ...]:
        """The family's templates, bound alike; which one the checkpoint has is found on load."""
        chosen = bound.get(("template",))
        if chosen is None:
            return ()
        records = [self.index.find("template", name) for name in self.template_names[1:]]
        options = chosen.options.model_dump()
        return (
            chosen,
            *(load(r).bind(r.name, options, distribution=r.distribution) for r in records),
        )

    # -- binding -----------------------------------------------------------------------------

    def _bind(self, parts: Sequence[Draft]) -> dict[Key, Plugin]:
        options = {part.key: Node(part.options, self.recipe.place(part.key)) for part in parts}

        def place(key: Key) -> str:
            head = key[:2] if key[:2] in options else key[:1]
            return list(options[head].walk(key[len(head) :]))[-1].place

        problems = Problems(place)
        bound: dict[Key, Plugin] = {}
        for part in parts:
            written = options[part.key]
            try:
                bound[part.key] = part.plugin.bind(
                    part.record.name,
                    written.plain(),
                    distribution=part.record.distribution,
                    folder=self.recipe.folder,
                )
            except pydantic.ValidationError as error:
                fields = option_fields(type(part.plugin).Options)
                problems.add_invalid(part.key, written, error, fields)
        problems.raise_any()
        for part in parts:
            self._note_options(part, bound[part.key])
        return bound

    def _note_options(self, part: Draft, plugin: Plugin) -> None:
        if part.key[0] in PART_KINDS:
            self._set((*part.key, "name"), part.name.value, part.name.place)
        chosen = plugin.options.model_dump(by_alias=True, exclude_unset=True)
        for option, value in plugin.options.model_dump(mode="json", by_alias=True).items():
            written = part.options.get(option)
            silent = f"{'chosen by' if option in chosen else 'default of'} {part.record.id}"
            origin = written.place if written is not None else silent
            self._set((*part.key, option), value, origin)

    def _run_keys(self) -> RunKeys:
        root = self.recipe.root.value
        own = RunKeys(**{key: root[key].plain() for key in RunKeys.model_fields if key in root})
        for key, value in own.model_dump().items():
            self._set((key,), value, root[key].place if key in root else "default of ft")
        if own.output is None:
            stem = self.recipe.path.stem
            self._set(("output",), f"runs/{stem}", "inferred from the name of the recipe")
        for key in (*PART_KINDS, EVAL_DATA):
            if key in root and root[key].value is None:
                self._set((key,), None, root[key].place)
        return own

    def _order_settings(self) -> None:
        self.settings = dict(
            sorted(
                self.settings.items(), key=lambda item: TOP_KEYS.index(item[0].partition(".")[0])
            )
        )


def _data_part(entry: _Entry, bound: Mapping[Key, Plugin]) -> DataPart:
    own = entry.own
    return DataPart(
        source=entry.located.source,
        path=entry.located.path,
        dataset=bound[entry.part.key],  # type: ignore[arg-type]
        name=entry.name,
        rows=own.rows,
        weight=own.weight,
        on_bad_row=own.on_bad_row,
        split=own.split,
        subset=own.subset,
    )
