"""Which value holds, who set it, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ft.api.plugin import Plugin
from ft.errors import InputError
from ft.kinds import KINDS
from ft.recipe.keys import (
    DATA,
    EVAL_DATA,
    MODEL,
    PART_KINDS,
    TOP_KEYS,
    DataKeys,
    ModelKeys,
    PartKeys,
    RunKeys,
    option_fields,
)
from ft.recipe.problems import did_you_mean
from ft.recipe.resolved import Resolved


@dataclass(frozen=True, slots=True)
class Explanation:
    """One value: ``origin`` reads after "set by", ``description`` says what it is for."""

    key: str
    value: Any
    origin: str
    description: str


def explain(resolved: Resolved, key: str | None = None) -> list[Explanation]:
    """Explain the value at ``key``, each value below it, or without a key all values.

    Raises :class:`InputError` for a key that the resolved recipe does not have.
    """
    settings = resolved.settings
    if key is None:
        keys = list(settings)
    else:
        keys = [at for at in settings if at == key or at.startswith(f"{key}.")]
        if not keys and key in TOP_KEYS:
            return [Explanation(key, None, "nobody: this recipe has none", _describe_part(key))]
        if not keys:
            choices = dict.fromkeys([*settings, *TOP_KEYS])
            raise InputError(f"there is no {key} in this recipe", hint=did_you_mean(key, choices))
    return [
        Explanation(at, settings[at].value, settings[at].origin, _describe(resolved, at))
        for at in keys
    ]


def _describe_part(key: str) -> str:
    if key in RunKeys.model_fields:
        return RunKeys.model_fields[key].description or ""
    name = {DATA: "dataset", EVAL_DATA: "dataset", MODEL: "model"}.get(key)
    return (KINDS[name] if name else PART_KINDS[key]).summary


def _describe(resolved: Resolved, key: str) -> str:
    top, *rest = key.split(".")
    if not rest:
        return _describe_part(top)
    own = ModelKeys if top == MODEL else DataKeys if top in (DATA, EVAL_DATA) else PartKeys
    option = rest[-1]
    if option in own.model_fields:
        if own is PartKeys:
            return PART_KINDS[top].summary
        return own.model_fields[option].description or ""
    plugin = _plugin(resolved, top, int(rest[0]) if len(rest) > 1 else 0)
    return option_fields(type(plugin).Options)[option].description or ""


def _plugin(resolved: Resolved, top: str, number: int) -> Plugin:
    if top == DATA:
        return resolved.data[number].dataset
    if top == EVAL_DATA:
        return resolved.eval_data[number].dataset
    return resolved.selection.all("model" if top == MODEL else PART_KINDS[top].name)[number]
