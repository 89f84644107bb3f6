"""What all distributions of one repository are published with, written once above them.

A repository with many plugins says it in a ``pyproject.toml`` above theirs::

    [tool.ft.release]
    authors = [{ name = "Acme" }]
    license-files = ["LICENSE"]
    urls = { Repository = "https://example.org/acme/plugins" }

Before a wheel is built, a copy of its project gets what its own ``pyproject.toml`` leaves out, and
a short readme where it has none. Changes are looked for beside that table as well.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft.errors import InputError

PYPROJECT = "pyproject.toml"
README = "README.md"

_KEYS = {"authors": list, "license-files": list, "urls": dict}
_HEAD = re.compile(r"^\[project\][ \t]*(#.*)?$", re.MULTILINE)
# what tools leave in a project's folder, and what was built of it before
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "dist", "build")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the distributions below the folder ``root`` have in common."""

    root: Path
    authors: list[Mapping[str, str]]
    license_files: list[str]
    urls: Mapping[str, str]


def shared_by(folder: Path) -> Shared | None:
    """What the nearest table ``[tool.ft.release]`` above ``folder`` says, if there is one.

    Raises :class:`ft.errors.InputError` where it says what it cannot.
    """
    for root in folder.resolve().parents:
        file = root / PYPROJECT
        if file.is_file() and (said := _parsed(file).get("tool", {}).get("ft", {}).get("release")):
            break
    else:
        return None
    for key, value in said.items():
        if not isinstance(value, _KEYS.get(key, ())):
            raise InputError(
                f"[tool.ft.release] has {key} = {value!r}",
                where=str(file),
                hint="it takes authors, license-files and urls, written as in [project]",
            )
    for name in said.get("license-files", ()):
        if not (root / name).is_file():
            raise InputError(f"the licence file {name} is not there", where=str(file))
    return Shared(
        root, said.get("authors", []), said.get("license-files", []), said.get("urls", {})
    )


def completed(folder: Path, shared: Shared, target: Path) -> Path:
    """A copy of the project in ``folder`` at ``target``, with what is shared. Returns ``target``.

    What the project says itself stays. Raises :class:`ft.errors.InputError`.
    """
    project = _parsed(folder / PYPROJECT).get("project", {})
    text = (folder / PYPROJECT).read_text(encoding="utf-8")
    if not _HEAD.search(text):
        raise InputError("has no table [project]", where=str(folder / PYPROJECT))
    shutil.copytree(folder, target, ignore=_LEFT_OUT)
    lines = []
    if "readme" not in project:
        (target / README).write_text(_readme(project, shared), encoding="utf-8")
        lines.append(f'readme = "{README}"')
    if "license-files" not in project and shared.license_files:
        names = [Path(name).name for name in shared.license_files]
        for name, own in zip(shared.license_files, names, strict=True):
            shutil.copyfile(shared.root / name, target / own)
        lines.append(f"license-files = {_toml(names)}")
    if "authors" not in project and shared.authors:
        lines.append(f"authors = {_toml(shared.authors)}")
    text = _HEAD.sub(lambda head: "\n".join([head[0], *lines]), text, count=1)
    if "urls" not in project and shared.urls:
        urls = "".join(f"{_toml(label)} = {_toml(url)}\n" for label, url in shared.urls.items())
        text = f"{text.rstrip()}\n\n[project.urls]\n{urls}"
    (target / PYPROJECT).write_text(text, encoding="utf-8")
    return target


def _parsed(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(file)) from error


def _readme(project: Mapping[str, Any], shared: Shared) -> str:
    name = project.get("name", "")
    ids = [
        f"{group.removeprefix('ft.')}:{plugin}"
        for group, entries in project.get("entry-points", {}).items()
        if group.startswith("ft.") and "." not in group.removeprefix("ft.")
        for plugin in entries
    ]
    shown = "".join(f"    ft plugins info {id}\n" for id in ids)
    urls = "".join(f"- {label}: {url}\n" for label, url in shared.urls.items())
    return (
        f"# {name}\n\n{project.get('description', '')}\n\n"
        f"Install it with\n\n    ft plugins add {name}\n\n"
        f"What it does, its options and what it goes together with are shown by\n\n{shown}\n{urls}"
    )


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(v)}' for key, v in value.items())} }}"
    # a text is written alike in JSON
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
