"""The JSON schema of recipes, computed from the installed plugins, for editors to complete."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from ft.errors import FtError
from ft.kinds import Kind
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.recipe.keys import (
    DATA,
    EVAL_DATA,
    MODEL,
    PART_KINDS,
    REQUIRED,
    TOP_KEYS,
    DataKeys,
    ModelKeys,
    RunKeys,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def recipe_schema(index: Index) -> Schema:
    """The schema (draft 2020-12) of recipes over the plugins that load."""
    builder = _Builder(index)
    properties = {
        MODEL: builder.entry("model", ModelKeys, "family"),
        DATA: builder.entries(),
        EVAL_DATA: {**builder.entries(), "description": "data that is evaluated on"},
        **_object(RunKeys)["properties"],
        **{key: builder.part(kind) for key, kind in PART_KINDS.items()},
    }
    return {
        "$schema": DIALECT,
        "title": "ft recipe",
        "type": "object",
        "properties": {key: properties[key] for key in TOP_KEYS},
        "required": [key for key in REQUIRED if key in (MODEL, DATA)],
        "additionalProperties": False,
        "$defs": builder.definitions,
    }


class _Builder:
    def __init__(self, index: Index):
        self._index = index
        self.definitions: Schema = {}

    def part(self, kind: Kind) -> Schema:
        """A kind whose parts are a name, or a name with options."""
        options = self._options(kind.name)
        named = [
            {
                **schema,
                "properties": {
                    "name": {"const": name, "description": about},
                    **schema["properties"],
                },
                "required": ["name", *schema.get("required", ())],
            }
            for name, (schema, about) in options.items()
        ]
        # without a name these are options for the part that another one suggests
        unnamed = {
            "type": "object",
            "properties": _union(schema for schema, _ in options.values()),
            "additionalProperties": False,
        }
        names = {"enum": list(options)} if options else {"type": "string"}
        alternatives = [names, *named] if kind.many else [names, *named, unnamed]
        if kind.many:
            alternatives.append({"type": "array", "items": {"anyOf": list(alternatives)}})
        return {"description": kind.summary, "anyOf": [*alternatives, {"type": "null"}]}

    def entries(self) -> Schema:
        """One data set, or several."""
        if "data" not in self.definitions:
            self.definitions["data"] = self.entry("dataset", DataKeys, "format")
        one = {"$ref": "#/$defs/data"}
        return {
            "description": "data that is trained on",
            "anyOf": [one, {"type": "array", "items": one}],
        }

    def entry(self, kind: str, own: type[pydantic.BaseModel], chooser: str) -> Schema:
        """A source, or keys of core with the options of the plugin that ``chooser`` names."""
        core = _object(own)
        about = own.model_fields[chooser].description
        plugins = self._options(kind)
        # plugins with the same options share an alternative: most model families do
        groups: list[tuple[Schema, list[str]]] = []
        for name, (schema, _) in plugins.items():
            same = next((names for other, names in groups if other == schema), None)
            if same is None:
                groups.append((schema, [name]))
            else:
                same.append(name)
        alternatives = [
            _extend(core, schema, {chooser: {"enum": names, "description": about}})
            for schema, names in groups
        ]
        for alternative in alternatives:
            alternative["required"] = [*alternative["required"], chooser]
        inferred = {"properties": _union(schema for schema, _ in plugins.values())}
        open_choice = {chooser: {"type": "null", "description": "inferred"}}
        return {
            "anyOf": [
                {"type": "string", "minLength": 1},
                _extend(core, inferred, open_choice),
                *alternatives,
            ]
        }

    def _options(self, kind: str) -> dict[str, tuple[Schema, str]]:
        """The options schema and the summary of each plugin of a kind, by its name."""
        out: dict[str, tuple[Schema, str]] = {}
        for record in self._index.records:
            if record.kind != kind or record.state != "ok":
                continue
            try:
                options = type(load(record)).Options
            except FtError:
                continue  # `ft plugins list` shows it; the other plugins still complete
            prefix = f"#/$defs/{kind}.{record.name}."
            schema = options.model_json_schema(ref_template=prefix + "{model}")
            for name, nested in schema.pop("$defs", {}).items():
                self.definitions[f"{kind}.{record.name}.{name}"] = _untitled(nested)
            out[record.name] = (_plain_object(schema), record.summary)
        return out


def _object(model: type[pydantic.BaseModel]) -> Schema:
    return _plain_object(model.model_json_schema())


def _plain_object(schema: Schema) -> Schema:
    """What an editor needs of a pydantic schema: the class's docstring is for authors."""
    kept = ("type", "properties", "required", "additionalProperties")
    return {"properties": {}, **_untitled({key: schema[key] for key in kept if key in schema})}


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """Without the titles that pydantic makes of field names; a field may be named title."""
    if isinstance(schema, Mapping):
        return {
            key: _untitled(value, names=key == "properties" and not names)
            for key, value in schema.items()
            if names or key != "title"
        }
    if isinstance(schema, list):
        return [_untitled(value) for value in schema]
    return schema


def _extend(core: Schema, options: Schema, more: Schema) -> Schema:
    out = copy.deepcopy(core)
    out["properties"] = {**out["properties"], **more, **options["properties"]}
    out["required"] = [*core.get("required", ()), *options.get("required", ())]
    out["additionalProperties"] = False
    return out


def _union(schemas: Iterable[Schema]) -> Schema:
    """All options of several plugins; what two define differently allows either."""
    found: dict[str, list[Schema]] = {}
    for schema in schemas:
        for name, option in schema["properties"].items():
            known = found.setdefault(name, [])
            if option not in known:
                known.append(option)
    return {n: known[0] if len(known) == 1 else {"anyOf": known} for n, known in found.items()}
