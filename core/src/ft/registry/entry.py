"""One file of a registry, checked and turned into values of :mod:`ft.registry.model`.

What a registry says comes from outside and is not trusted: every key and every type is looked
at, and an error names the file. ``registry/src/ft_registry/schema`` says the same as JSON schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ft.errors import InputError
from ft.plugins.record import normalize
from ft.registry.model import (
    GRANTS,
    Advisory,
    Proof,
    Published,
    PublishedPlugin,
    Set,
    Source,
)

DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TEXTS = "a list of texts"
_FORMS: Mapping[str, Any] = {
    "text": lambda v: isinstance(v, str),
    "number": lambda v: isinstance(v, int) and not isinstance(v, bool),
    _TEXTS: lambda v: isinstance(v, list) and all(isinstance(i, str) for i in v),
    "a list of tables": lambda v: isinstance(v, list) and all(isinstance(i, dict) for i in v),
    "a table of texts": lambda v: _table_of(v, "text"),
    "a table of lists of texts": lambda v: _table_of(v, _TEXTS),
    "a table of tables": lambda v: (
        isinstance(v, dict) and all(isinstance(i, dict) for i in v.values())
    ),
}
_PUBLISHED = {
    "distribution": "text",
    "summary": "text",
    "repository": "text",
    "steward": "text",
    "licence": "text",
    "plugins": "a list of tables",
    "proofs": "a list of tables",
}
_PLUGIN = {
    "kind": "text",
    "name": "text",
    "summary": "text",
    "matches": "a table of lists of texts",
    "papers": _TEXTS,
}
_PROOF = {"version": "text", "level": "number", "kit": "text", "wheel": "text", "files": "text"}
_ADVISORY = {"distribution": "text", "reason": "text", "lowest_good": "text", "link": "text"}
_SET = {
    "summary": "text",
    "owner": "text",
    "includes": _TEXTS,
    "allow": _TEXTS,
    "grants": _TEXTS,
    "plugins": "a table of texts",
    "options": "a table of tables",
}


def published(data: Any, source: Source) -> Published:
    """A published distribution. Raises :class:`ft.errors.InputError`."""
    _check(data, _PUBLISHED, ("distribution", "plugins"), source)
    for plugin in data["plugins"]:
        _check(plugin, _PLUGIN, ("kind", "name"), source)
    for proof in data.get("proofs", ()):
        _check(proof, _PROOF, ("version", "level", "kit", "wheel"), source)
        for key in ("wheel", "files"):
            if not _DIGEST.fullmatch(proof.get(key, proof["wheel"])):
                raise InputError(
                    f"a proof's {key} must be sha256: and 64 digits", where=str(source)
                )
    return Published(
        distribution=_distribution(data["distribution"], source),
        source=source,
        **{k: data.get(k, "") for k in ("summary", "repository", "steward", "licence")},
        plugins=tuple(
            PublishedPlugin(
                kind=plugin["kind"],
                name=plugin["name"],
                summary=plugin.get("summary", data.get("summary", "")),
                matches=tuple(
                    (group, key)
                    for group, keys in plugin.get("matches", {}).items()
                    for key in keys
                ),
                papers=tuple(plugin.get("papers", ())),
            )
            for plugin in data["plugins"]
        ),
        proofs=tuple(Proof(**proof) for proof in data.get("proofs", ())),
    )


def advisory(id: str, data: Mapping[str, Any], source: Source) -> Advisory:
    """An advisory; its id is the name of its file. Raises :class:`ft.errors.InputError`."""
    _check(data, _ADVISORY, ("distribution", "reason"), source)
    distribution = _distribution(data["distribution"], source)
    return Advisory(**{**data, "id": id, "distribution": distribution, "source": source})


def curated_set(name: str, data: Mapping[str, Any], source: Source) -> Set:
    """A set as its file says it, what it includes left out. Raises :class:`InputError`."""
    _check(data, _SET, ("summary",), source)
    for grant in data.get("grants", ()):
        if grant not in GRANTS:
            raise InputError(
                f"grants has {grant!r}", where=str(source), hint=f"known: {', '.join(GRANTS)}"
            )
    for id in data.get("options", ()):
        if not re.fullmatch(r"[^:\s]+:[^:\s]+", id):
            raise InputError(f"options has {id!r} where a kind:name belongs", where=str(source))
    return Set(
        name=name,
        summary=data["summary"],
        source=source,
        owner=data.get("owner", ""),
        plugins={_distribution(d, source): r for d, r in data.get("plugins", {}).items()},
        options=data.get("options", {}),
        includes=tuple(data.get("includes", ())),
        allow=tuple(data.get("allow", ())),
        grants=tuple(data.get("grants", ())),
    )


def _distribution(name: str, source: Source) -> str:
    if not DISTRIBUTION.fullmatch(name):
        raise InputError(f"{name!r} is not the name of a distribution", where=str(source))
    return normalize(name)


def _table_of(value: Any, form: str) -> bool:
    return isinstance(value, dict) and all(map(_FORMS[form], value.values()))


def _check(data: Any, known: Mapping[str, str], required: tuple[str, ...], source: Source) -> None:
    if not isinstance(data, dict):
        raise InputError("must be keys with their values", where=str(source))
    for key, value in data.items():
        if key not in known:
            hint = f"known: {', '.join(known)}"
            raise InputError(f"has no key {key!r}", where=str(source), hint=hint)
        if not _FORMS[known[key]](value):
            raise InputError(f"{key} must be {known[key]}", where=str(source))
    for key in required:
        if key not in data:
            raise InputError(f"{key} is missing", where=str(source))
