"""Writes first-party.json: what the distributions of ``plugins/`` are, from their own words.

``python registry/compute.py`` after a plugin was added or changed; a test compares. Names and
keys come from each pyproject.toml, published checkpoints and papers from the plugin objects.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "registry" / "src" / "ft_registry" / "first-party.json"
STEWARD = "the ft project"
PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}")
MATCH = "ft.match."


def compute() -> list[dict[str, Any]]:
    """An entry for each distribution of ``plugins/``, in the order of names."""
    projects = sorted((ROOT / "plugins").glob("*/*/pyproject.toml"))
    # the checkout's own plugins, whatever else is installed
    sys.path[:0] = [str(file.parent / "src") for file in projects]
    try:
        return [entry(tomllib.loads(file.read_text(encoding="utf-8"))) for file in projects]
    finally:
        del sys.path[: len(projects)]


def entry(pyproject: dict[str, Any]) -> dict[str, Any]:
    """One distribution."""
    project = pyproject["project"]
    points = project["entry-points"]
    plugins = [
        describe(group.removeprefix("ft."), name, value, points)
        for group, entries in points.items()
        if not group.startswith(MATCH)
        for name, value in entries.items()
    ]
    return {
        "distribution": project["name"],
        "summary": project["description"],
        "steward": STEWARD,
        "licence": project["license"],
        "plugins": plugins,
    }


def describe(kind: str, name: str, value: str, points: dict[str, Any]) -> dict[str, Any]:
    """One plugin; what is empty is left out."""
    module, _, attribute = value.partition(":")
    package = importlib.import_module(module)
    plugin = functools.reduce(getattr, attribute.split("."), package)
    matches = {
        group.removeprefix(MATCH): [key for key, leads_to in entries.items() if leads_to == value]
        for group, entries in points.items()
        if group.startswith(MATCH)
    }
    # a published checkpoint leads to its family, too
    checkpoints = [checkpoint.id for checkpoint in getattr(plugin, "checkpoints", ())]
    if checkpoints:
        matches["checkpoint"] = list(dict.fromkeys(matches.get("checkpoint", []) + checkpoints))
    own = type(plugin).__module__.partition(".")[0] == module.partition(".")[0]
    said = [plugin.paper or "", package.__doc__ or "", (own and type(plugin).__doc__) or ""]
    described = {
        "kind": kind,
        "name": name,
        "matches": {group: keys for group, keys in matches.items() if keys},
        "papers": list(dict.fromkeys(PAPER.findall(" ".join(said)))),
    }
    return {key: found for key, found in described.items() if found}


def text() -> str:
    """The file as it should be."""
    return json.dumps(compute(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
