"""Starter recipes, which ``ft init`` copies. Each is a file of :mod:`ft.recipe.starters`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

from ft.errors import InputError
from ft.recipe.problems import did_you_mean
from ft.recipe.write import yaml_text

DEFAULT = "sft-lora"


def starters() -> dict[str, str]:
    """Name and first comment line of each starter recipe, the default first."""
    texts = {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8")
        for entry in files("ft.recipe").joinpath("starters").iterdir()
        if entry.name.endswith(".yaml")
    }
    names = sorted(texts, key=lambda name: (name != DEFAULT, name))
    return {name: texts[name].splitlines()[0].lstrip("# ") for name in names}


def starter(name: str, values: Mapping[str, str]) -> str:
    """The text of a starter recipe with some of its top-level ``values`` replaced.

    Raises :class:`InputError` where there is no starter of that name.
    """
    if name not in (known := starters()):
        raise InputError(f"there is no starter recipe {name}", hint=did_you_mean(name, known))
    text = files("ft.recipe").joinpath("starters", f"{name}.yaml").read_text(encoding="utf-8")
    for key, value in values.items():
        line = f"{key}: {yaml_text(value)}".replace("\\", r"\\")
        # a comment on the line speaks of the value that stood there
        text = re.sub(rf"^{key}:.*$", line, text, count=1, flags=re.MULTILINE)
    return text
