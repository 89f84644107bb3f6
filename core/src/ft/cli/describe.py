"""A loaded plugin as plain data: what ``ft plugins info`` prints."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api.capability import VOCABULARY

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ft.api import ModelFamily, Plugin, Template

_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of"}
_PLAIN_WORDS = {str: "text", bool: "true | false", int: "integer", float: "number", Path: "path"}
_FORMAT_WORDS = frozenset({"tools", "reasoning"})
_SIDES = ("needs", "accepts", "provides", "conflicts")


def describe(plugin: Plugin) -> dict[str, Any]:
    """Options, capabilities, limits, paper, suggestions and checkpoints of a plugin."""
    checkpoints = getattr(plugin, "checkpoints", ())
    return {
        "about": _about(type(plugin)),
        "paper": plugin.paper,
        "options": [
            {
                "name": name,
                "type": type_text(field),
                "required": field.is_required(),
                "default": _default(field),
                "description": field.description or "",
            }
            for name, field in type(plugin).Options.model_fields.items()
        ],
        "capabilities": {
            side: {word: _sentence(word) for word in sorted(getattr(plugin, side))}
            for side in _SIDES
            if getattr(plugin, side)
        },
        "limits": {w: f"{limit.state}: {limit.reason}" for w, limit in plugin.limits.items()},
        "known_failures": [asdict(known) for known in plugin.known_failures],
        "suggests": dict(plugin.suggests),
        "checkpoints": [
            {"id": c.id, "parameters": c.parameters, "base": c.base} for c in checkpoints
        ],
    }


def describe_family(family: ModelFamily, formats: Mapping[str, Template]) -> dict[str, Any]:
    """What a user of a model family wants to know beside that.

    ``formats`` are those of its chat formats that are here. The first of them that can writes
    the example.
    """
    from ft.pipeline.example import example, example_call

    images = "images" in family.accepts
    found = (
        {"format": name, "lines": lines, "call": example_call(name, template)}
        for name, template in formats.items()
        if (lines := example(name, template, images))
    )
    return {
        "title": family.title,
        "vendor": family.vendor,
        "model_types": list(family.model_types),
        "parts": dict(family.groups),
        "fused_experts": list(family.fused_experts),
        "formats": [
            {
                "name": name,
                "provides": sorted(formats[name].provides & _FORMAT_WORDS),
                "published": list(formats[name].published),
            }
            if name in formats
            else {"name": name, "provides": [], "published": []}
            for name in family.templates
        ],
        "example": next(found, None),
    }


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def type_text(field: FieldInfo) -> str:
    """The type of an option as its user thinks of it: ``int > 0``, ``auto | float32``."""
    bounds = [
        f"{sign} {getattr(rule, key)}"
        for rule in field.metadata
        for key, sign in _BOUNDS.items()
        if getattr(rule, key, None) is not None
    ]
    text = _type(field.annotation)
    if not bounds:
        return text
    # the bound is on the value, not on its absence
    core, null, _ = text.partition(" | null")
    return f"{core} {' and '.join(bounds)}{null}"


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if annotation is Any:
        return "anything"
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " | ".join(_value(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is not None and issubclass(origin, Mapping):
        return f"{_type(arguments[0])}: {_type(arguments[1])}"
    if origin is not None:
        inner = " | ".join(dict.fromkeys(_type(a) for a in arguments if a is not Ellipsis))
        return f"list of {inner}" if issubclass(origin, (list, tuple, set, frozenset)) else inner
    return _PLAIN_WORDS.get(annotation, annotation.__name__)


def _value(value: Any) -> str:
    return {True: "true", False: "false", None: "null"}.get(value, str(value))


def _sentence(word: str) -> str:
    capability = VOCABULARY.get(word)
    return capability.sentence if capability else "a word that this ft-core does not know"


def _about(cls: type) -> str:
    """The class's own docstring, unless it is that of the kind's base class."""
    own = cls.__dict__.get("__doc__") or ""
    return "" if cls.__module__.startswith("ft.api") else inspect.cleandoc(own)
