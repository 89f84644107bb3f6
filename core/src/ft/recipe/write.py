"""A resolved recipe as YAML: every value, and beside it who set it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from ft.recipe.document import IMPLICIT_RESOLVERS
from ft.recipe.keys import TOP_KEYS
from ft.recipe.resolved import Resolved, Setting

COMMENT_COLUMN = 44
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class _Dumper(yaml.SafeDumper):
    """Quotes what the reader of recipes would not read as text, and nothing else."""

    yaml_implicit_resolvers = IMPLICIT_RESOLVERS


def write_resolved(resolved: Resolved) -> str:
    """``resolved`` as a recipe that names everything; reading it resolves to the same."""
    tree: dict[str, Any] = {}
    order = {key: number for number, key in enumerate(TOP_KEYS)}
    settings = resolved.settings.items()
    for key, setting in sorted(settings, key=lambda item: order[item[0].partition(".")[0]]):
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = setting
    lines = ["# Resolved by ft: every value, and who set it. It can be run as it is."]
    for left, origin in _lines(tree):
        lines.append(f"{left:<{COMMENT_COLUMN}}  # {origin}" if origin else left)
    return "\n".join(lines) + "\n"


def yaml_text(value: Any) -> str:
    """A value as YAML on one line, as the reader of recipes reads it back."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=2**30,
        sort_keys=False,
    ).removesuffix("\n").removesuffix("\n...")  # fmt: skip
    if len(text.splitlines()) < 2:
        return text
    if isinstance(value, dict):
        inside = (f"{_quoted(key)}: {yaml_text(child)}" for key, child in value.items())
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_text, value))}]"
    return _quoted(value)


def _quoted(text: str) -> str:
    # a string of JSON is one of YAML, but for characters that YAML wants escaped
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _lines(tree: dict[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Lines as (YAML, origin)."""
    for key, child in tree.items():
        if isinstance(child, Setting):
            yield f"{indent}{key}: {yaml_text(child.value)}", child.origin
            continue
        yield f"{indent}{key}:", ""
        if "0" not in child:
            yield from _lines(child, indent + "  ")
            continue
        for entry in child.values():
            for number, (left, origin) in enumerate(_lines(entry, indent + "    ")):
                dash = f"{indent}  - " if number == 0 else f"{indent}    "
                yield dash + left.removeprefix(indent + "    "), origin
