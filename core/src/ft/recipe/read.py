"""Reading a recipe: strict, and with the place of every value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from ft.errors import InputError
from ft.recipe.document import Node, parse_yaml
from ft.recipe.keys import (
    DATA,
    EVAL_DATA,
    MODEL,
    PART_KINDS,
    TOP_KEYS,
    DataKeys,
    Key,
    ModelKeys,
    PartKeys,
    RunKeys,
)
from ft.recipe.override import apply_override
from ft.recipe.problems import Problems, did_you_mean


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as written, with the overrides of the command line applied.

    ``root`` holds every part in its long form (``{name: …}``, ``{source: …}``, a list of
    ``{path: …}``); its values have the right shape, and options of plugins are not yet
    checked. ``text`` is the file as it was.
    """

    path: Path
    text: str
    root: Node

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self.path.parent

    def get(self, *key: str | int) -> Node | None:
        """The value at ``key``, where the recipe has one."""
        nodes = list(self.root.walk(key))
        return nodes[-1] if len(nodes) == len(key) + 1 else None

    def place(self, key: Key) -> str:
        """Where the value of ``key`` was written, or that which would hold it."""
        return list(self.root.walk(key))[-1].place


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe at ``path`` and apply ``overrides`` (``adapter.rank=32``).

    Raises :class:`InputError` with every wrong key and value, each with its place.
    """
    text = _read_text(path)
    root = parse_yaml(text, str(path))
    if root.value is None:
        raise InputError(
            "the recipe is empty", where=str(path), hint="`ft init` writes one to start from"
        )
    if not isinstance(root.value, dict):
        raise InputError(
            "a recipe is a mapping of keys to values",
            where=root.place,
            hint="such as model: org/name, or adapter: lora; `ft init` writes one to start from",
        )
    root.place = str(path)
    _lengthen(root)
    for override in overrides:
        apply_override(root, override)
        _lengthen(root)
    recipe = Recipe(path, text, root)
    _check(recipe)
    return recipe


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"{error}"
        if path.is_dir():
            reason = "is a folder"
        raise InputError(
            f"the recipe {path} {reason}",
            hint="name a YAML file, or write one with `ft init`",
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"byte 0x{content[error.start]:02x} is not UTF-8",
            where=f"{path}:{line}",
            hint="save the file as UTF-8",
        ) from None


def _lengthen(root: Node) -> None:
    """Bring each part into its long form, in place; what has a wrong shape stays as it is."""
    for key, node in root.value.items():
        if key == MODEL:
            _lengthen_entry(node, "source")
        elif key in (DATA, EVAL_DATA) or (key in PART_KINDS and PART_KINDS[key].many):
            if node.value is not None and not isinstance(node.value, list):
                node.value = [Node(node.value, node.place)]
            for entry in node.value or ():
                _lengthen_entry(entry, "path" if key in (DATA, EVAL_DATA) else "name")
        elif key in PART_KINDS:
            _lengthen_entry(node, "name")


def _lengthen_entry(node: Node, field: str) -> None:
    if isinstance(node.value, str):
        node.value = {field: Node(node.value, node.place)}


def _check(recipe: Recipe) -> None:
    problems = Problems(recipe.place)
    own: dict[Any, Node] = {}
    for key, node in recipe.root.value.items():
        if key not in TOP_KEYS:
            problems.add((key,), "there is no such key", did_you_mean(key, TOP_KEYS))
        elif key in RunKeys.model_fields:
            own[key] = node
        elif node.value is None:
            continue  # "none of this kind, whatever others suggest"
        elif isinstance(node.value, list):
            for number, entry in enumerate(node.value):
                model = DataKeys if key in (DATA, EVAL_DATA) else PartKeys
                _check_entry(problems, (key, number), entry, model)
        else:
            _check_entry(problems, (key,), node, ModelKeys if key == MODEL else PartKeys)
    _validate(problems, (), Node(own, str(recipe.path)), RunKeys)
    problems.raise_any()


def _check_entry(problems: Problems, key: Key, node: Node, model: type[pydantic.BaseModel]) -> None:
    first = next(iter(model.model_fields))
    if not isinstance(node.value, dict):
        problems.add(
            key, f"expected a {first} or a mapping such as {{{first}: …}} (it is {node.plain()!r})"
        )
        return
    for option in node.value:
        if not isinstance(option, str):
            problems.add((*key, option), "a key must be text")
    written = {name: child for name, child in node.value.items() if name in model.model_fields}
    _validate(problems, key, Node(written, node.place), model)


def _validate(problems: Problems, key: Key, node: Node, model: type[pydantic.BaseModel]) -> None:
    try:
        model.model_validate(node.plain())
    except pydantic.ValidationError as error:
        problems.add_invalid(key, node, error, ())
