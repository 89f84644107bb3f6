"""Writes first-party.json and the set ``everything``: what the distributions of ``plugins/`` are,
from their own words.

``python registry/compute.py`` after a plugin was added or changed; a test compares. Names and
keys come from each pyproject.toml, published checkpoints and papers from the plugin objects, and
the address from the table that all of them share. Proofs, which ``release.py`` adds, stay while
they are of what is here, or of another version.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from ft.registry.shared import shared_by

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "registry" / "src" / "ft_registry"
FILE = PACKAGE / "first-party.json"
EVERYTHING = PACKAGE / "sets" / "everything.toml"
PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}")
MATCH = "ft.match."


def compute() -> list[dict[str, Any]]:
    """An entry for each distribution of ``plugins/``, in the order of names."""
    projects = [file.parent for file in sorted((ROOT / "plugins").glob("*/*/pyproject.toml"))]
    shared = shared_by(ROOT / "plugins")
    assert shared
    common = {
        "repository": shared.urls["Repository"],
        "steward": ", ".join(author["name"] for author in shared.authors),
    }
    listed = json.loads(FILE.read_text(encoding="utf-8"))
    proofs = {one["distribution"]: one["proofs"] for one in listed if "proofs" in one}
    # the checkout's own plugins, whatever else is installed
    sys.path[:0] = [str(folder / "src") for folder in projects]
    try:
        found = [entry(project_of(folder), common) for folder in projects]
    finally:
        del sys.path[: len(projects)]
    for one, folder in zip(found, projects, strict=True):
        version, files = project_of(folder)["version"], files_of(folder)
        kept = [
            proof
            for proof in proofs.get(one["distribution"], ())
            if proof["version"] != version or proof["files"] == files
        ]
        if kept:
            one["proofs"] = kept
    return found


def files_of(folder: Path) -> str:
    """The ``files`` that a proof of the distribution as it is now would have."""
    source = folder / "src"
    lines = []
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
            name = file.relative_to(source).as_posix()
            lines.append(f"{name}=sha256={digest.decode().rstrip('=')}")
    listed = "\n".join(sorted(lines))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def project_of(folder: Path) -> dict[str, Any]:
    """The table ``[project]`` of a distribution."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def entry(project: dict[str, Any], common: dict[str, str]) -> dict[str, Any]:
    """One distribution; ``common`` is what all of them have alike."""
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
        **common,
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


def text(entries: list[dict[str, Any]]) -> str:
    """The file that holds these entries."""
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def everything(entries: list[dict[str, Any]]) -> str:
    """The file of the set that has all of them."""
    head = f'summary = "Every plugin of the project"\nowner = "{entries[0]["steward"]}"\n'
    lines = [f'{entry["distribution"]} = ">=0.1,<1"\n' for entry in entries]
    return f"{head}\n[plugins]\n{''.join(lines)}"


def write(entries: list[dict[str, Any]]) -> None:
    """Write both files anew."""
    FILE.write_text(text(entries), encoding="utf-8")
    EVERYTHING.write_text(everything(entries), encoding="utf-8")


if __name__ == "__main__":
    write(compute())
