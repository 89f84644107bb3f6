"""Changes to a recipe from the command line: ``adapter.rank=32``."""

from __future__ import annotations

from ft.errors import InputError
from ft.recipe.document import Node, parse_yaml
from ft.recipe.keys import TOP_KEYS
from ft.recipe.problems import did_you_mean

COMMAND_LINE = "the command line"


def apply_override(root: Node, override: str) -> None:
    """Change ``root``, whose parts are in their long form, in place.

    The value is parsed as YAML. What a value replaces, it replaces whole: ``adapter=dora``
    drops the options of the former adapter, and ``adapter.name=dora`` keeps them.
    """
    written, equals, text = override.partition("=")
    keys = written.strip().split(".")
    if not equals or not all(keys):
        raise InputError(
            f"{override!r} is no override", hint="write key=value, such as adapter.rank=32"
        )
    if keys[0] not in TOP_KEYS and keys[0] not in root.value:
        raise InputError(
            f"there is no {keys[0]} in a recipe",
            where=f"{COMMAND_LINE}: {override}",
            hint=did_you_mean(keys[0], TOP_KEYS),
        )
    node = root
    for depth, following in enumerate(keys[1:]):
        node = _child(node, keys, depth, override, create=not following.isdecimal())
    value = parse_yaml(text, None, COMMAND_LINE)
    if isinstance(node.value, list):
        _child(node, keys, len(keys) - 1, override, create=False)
        node.value[int(keys[-1])] = value
    elif isinstance(node.value, dict):
        node.value[keys[-1]] = value
    else:
        raise _no_way(keys, len(keys) - 1, "is a single value", override)


def _child(node: Node, keys: list[str], depth: int, override: str, *, create: bool) -> Node:
    key = keys[depth]
    if isinstance(node.value, list):
        if key.isdecimal() and int(key) < len(node.value):
            return node.value[int(key)]
        count = len(node.value)
        entries = f"is a list of {count} {'entry' if count == 1 else 'entries'}, counted from 0"
        raise _no_way(keys, depth, entries, override)
    if not isinstance(node.value, dict):
        raise _no_way(keys, depth, "is a single value", override)
    child = node.value.get(key)
    if child is None or child.value is None:
        if not create:
            raise _no_way(keys, depth + 1, "is not in the recipe", override)
        child = node.value[key] = Node({}, COMMAND_LINE)
    return child


def _no_way(keys: list[str], depth: int, why: str, override: str) -> InputError:
    at = ".".join(keys[:depth])
    return InputError(
        f"{at} {why}, so {'.'.join(keys)} leads nowhere",
        where=f"{COMMAND_LINE}: {override}",
        hint=f"set it whole: {at}=…" if "list" not in why else f"name an entry: {at}.0…",
    )
