"""From a curated set to a lock. uv resolves; this says what is asked for, and what for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ft.environment.lock import Lock, read_lock
from ft.environment.place import Environment
from ft.environment.uv import run_uv
from ft.errors import InputError
from ft.plugins.record import normalize
from ft.registry.model import Set

CORE = "ft-core"
_BOUNDS = re.compile(r"[ \w.,<>=!~*+-]*", re.ASCII)
_LOCAL = re.compile(r'url = "(file://[^"]+)"')


def set_digest(chosen: Set) -> str:
    """``sha256:…`` of what a set says, in whatever order and file it says it."""
    said = {
        "plugins": dict(chosen.plugins),
        "options": {name: dict(options) for name, options in chosen.options.items()},
        "allow": sorted(chosen.allow),
        "grants": sorted(chosen.grants),
    }
    text = json.dumps(said, sort_keys=True, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def requirements_of(chosen: Set) -> dict[str, str]:
    """The distributions that an environment of a set is asked to have, with their ranges.

    The core, the registries that say the set, and the set's plugins. Raises
    :class:`ft.errors.InputError` where a range is none.
    """
    asked = dict.fromkeys((CORE, *map(normalize, chosen.registries)), "")
    for name, bounds in chosen.plugins.items():
        # it becomes a line of a file for uv, in which it must not become another one
        if not _BOUNDS.fullmatch(bounds):
            raise InputError(
                f"{name} has {bounds!r} where a range of versions belongs",
                where=str(chosen.source),
                hint='write one such as ">=0.1,<1", or "" for any',
            )
        asked[normalize(name)] = bounds
    return dict(sorted(asked.items()))


def installed_versions(names: Sequence[str], environment: Environment) -> dict[str, str]:
    """``==`` the installed version of each. Raises :class:`ft.errors.InputError` if absent."""
    versions = {}
    for name in map(normalize, names):
        if name not in environment.installed:
            raise InputError(
                f"{name} is not installed, and so cannot be kept",
                where=str(environment.python),
                hint="leave it out, or install it first",
            )
        versions[name] = f"=={environment.installed[name].version}"
    return versions


def write_lock(
    file: Path,
    name: str,
    chosen: Set,
    environment: Environment,
    *,
    keep: Sequence[str] = (),
    constraints: Sequence[Path] = (),
    find_links: Sequence[str] = (),
    upgrade: bool = False,
) -> Lock:
    """Resolve the set called ``name`` and write its lock to ``file``.

    Versions of a lock that is there already are kept where they still fit, unless ``upgrade``.
    ``keep`` names distributions that are locked in the version that is installed,
    ``constraints`` are further files of bounds, ``find_links`` folders or pages of wheels.
    Wheels that lie in a folder are named by their path from the lock, so that both can move
    together. Raises :class:`ft.errors.RunError` where nothing fits.
    """
    asked = requirements_of(chosen)
    kept = installed_versions(keep, environment)
    lines = [f"{n}{bounds}\n" for n, bounds in [*asked.items(), *kept.items()]]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        made, wanted = work / "pylock.toml", work / "requirements.in"
        wanted.write_text("".join(lines), encoding="utf-8")
        if file.is_file():
            shutil.copyfile(file, made)
        run_uv(
            *("pip", "compile", wanted, "--python", environment.python, "--quiet"),
            *("--format", "pylock.toml", "--output-file", made, "--generate-hashes"),
            *(word for given in constraints for word in ("--constraint", given)),
            *(word for given in find_links for word in ("--find-links", given)),
            *(["--upgrade"] if upgrade else []),
            failed=f"the set {name} cannot be resolved",
        )
        text = made.read_text(encoding="utf-8")
    folder = file.absolute().parent
    shown = _from(folder, name) if name.endswith(".toml") else name
    text = _LOCAL.sub(lambda match: _relative(match[1], folder), text)
    # TOML's strings are written as JSON's are
    text += f"\n[tool.ft]\nset = {json.dumps(shown)}\n"
    text += f"set-digest = {json.dumps(set_digest(chosen))}\n"
    text += "asked = [\n" + "".join(f"    {json.dumps(n)},\n" for n in asked) + "]\n"
    folder.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)
    return read_lock(file)


def _relative(url: str, folder: Path) -> str:
    return f"path = {json.dumps(_from(folder, unquote(urlsplit(url).path)))}"


def _from(folder: Path, path: str) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
