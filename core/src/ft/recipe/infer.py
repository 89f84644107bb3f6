"""What a recipe leaves out and a checkpoint or a data file says: family, quantizer, data format.

Nothing is guessed: what two plugins claim equally, or none does, is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.errors import InputError
from ft.plugins.index import Index, Record

ANY = "*"
"""The key in ``ft.match.model_type`` of the family that takes what nobody else claims."""


def installed(index: Index, kind: str) -> list[str]:
    """The names of the usable plugins of a kind."""
    return sorted({r.name for r in index.records if r.kind == kind and r.state == "ok"})


def infer_family(
    index: Index, sources: Sequence[str], folder: Path, place: str
) -> tuple[Record, str]:
    """The family of the checkpoint in ``folder``, and from what it was inferred.

    A claim on the checkpoint's name (``sources``, or the name that its configuration gives)
    counts before one on its ``model_type``.
    """
    config = read_config(folder, place)
    names = [*sources, str(config.get("_name_or_path", ""))]
    for name in dict.fromkeys(filter(None, names)):
        if records := index.match("checkpoint", name):
            return _single(records, f"the checkpoint {name}", place), f"the name {name}"
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise InputError(
            f"{folder / 'config.json'} has no model_type, so the model family is open",
            where=place,
            hint=f"name it: family: {' | '.join(installed(index, 'model'))}",
        )
    anybodys = index.match("model_type", ANY)
    claims = [r for r in index.match("model_type", model_type) if r not in anybodys]
    if claims:
        record = _single(claims, f"model_type {model_type}", place)
        return record, f"model_type {model_type} in config.json"
    if not anybodys:
        raise InputError(
            f"no installed model plugin claims model_type {model_type}",
            where=place,
            hint=f"ft plugins suggest {folder} says which does; or name a family that loads it: "
            f"family: {' | '.join(installed(index, 'model'))}",
        )
    record = _single(anybodys, "any model_type", place)
    return record, f"nothing: no installed model plugin claims model_type {model_type}"


def quantization_of(config: Mapping[str, Any]) -> str | None:
    """How the weights of a checkpoint are quantized, as its configuration says; ``None``: not.

    That is ``quant_method``, or where it is missing the flag that is set in its place.
    """
    inner = config.get("text_config")
    found = config.get("quantization_config") or (
        inner.get("quantization_config") if isinstance(inner, dict) else None
    )
    if not isinstance(found, dict):
        return None
    flags = (key for key, value in found.items() if key.startswith("load_in_") and value is True)
    return str(found.get("quant_method") or next(flags, "an unknown method"))


def infer_quantizer(
    index: Index, folder: Path, written: Record | None, place: str
) -> tuple[Record, str] | None:
    """The quantizer that reads the weights in ``folder``; ``None`` where they are plain.

    ``written`` is the one that the recipe names. Of several that read the form it decides.
    """
    file = folder / "config.json"
    form = quantization_of(read_config(folder, place)) if file.is_file() else None
    if form is None:
        return None
    claims = index.match("quantization", form)
    said = f"the weights of this checkpoint are quantized already ({form} in config.json)"
    if not claims:
        raise InputError(
            f"{said}, and no installed quantizer reads that",
            where=place,
            hint=_providers(form),
        )
    if written is None:
        record = _single(claims, f"quantization {form}", place, "quantizer")
        return record, f"quant_method {form} in config.json"
    if written not in claims:
        names = " or ".join(sorted(record.name for record in claims))
        raise InputError(
            f"{said}, and quantizer {written.name} does not read that",
            where=place,
            hint=f"leave quantizer out, or write quantizer: {names}",
        )
    return written, ""


def _providers(form: str) -> str:
    """Which distributions read weights of a form, as registries say."""
    from ft.registry.read import read_registries

    try:
        listed = read_registries().published
    except InputError as error:  # what is wrong with a registry must not hide what is wrong here
        return f"which distribution has one is not known: {error}"
    found = {
        plugin.id: entry.distribution
        for entry in listed
        for plugin in entry.plugins
        if ("quantization", form) in plugin.matches
    }
    if not found:
        return "no registry lists one; take a checkpoint of this model that is not quantized"
    provided = " and ".join(sorted(found.values()))
    return f"{provided} provides it: ft plugins add {min(found)}"


def _single(records: Sequence[Record], what: str, place: str, key: str = "family") -> Record:
    if len(records) > 1:
        names = [record.name for record in records]
        if len(set(names)) < len(names):
            names = [f"{record.distribution}/{record.name}" for record in records]
        raise InputError(
            f"{' and '.join(sorted(names))} both claim {what}",
            where=place,
            hint=f"choose one: {key}: {sorted(names)[0]}",
        )
    return records[0]


def read_config(folder: Path, place: str) -> Mapping[str, Any]:
    """What ``config.json`` in ``folder`` says. Raises :class:`InputError` at ``place``."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder} has no config.json, so it is no checkpoint that ft can read",
            where=place,
            hint="give the folder that holds config.json and the weights",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}", where=place) from None
    if not isinstance(config, dict):
        raise InputError(f"{file} holds no JSON object", where=place)
    return config


def infer_format(index: Index, row: Mapping[str, Any], place: str) -> tuple[Record, str]:
    """The data format of a row: that which reads most of its columns."""
    records = index.match("columns", list(row))
    if len(records) == 1:
        return records[0], f"the columns {', '.join(_read_columns(index, records[0], row))}"
    found = f"the first row has the columns {', '.join(row) or '(none)'}"
    if records:
        names = " and ".join(sorted(record.name for record in records))
        problem = f"{found}, which {names} read equally well"
        choices = [record.name for record in records]
    else:
        problem = f"{found}, which no installed data format reads"
        choices = installed(index, "dataset")
    raise InputError(
        problem,
        where=place,
        hint=f"name the format: format: {' | '.join(sorted(choices)) or '(none is installed)'}",
    )


def _read_columns(index: Index, record: Record, row: Mapping[str, Any]) -> list[str]:
    keys = [key.removeprefix("columns ").split("+") for key in index.keys(record)]
    return max((key for key in keys if row.keys() >= set(key)), key=len)
