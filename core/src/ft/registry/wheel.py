"""A wheel that is to be published: built, read as a file, and proved by the conformance kit."""

from __future__ import annotations

import email.message
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ft.environment.uv import run_uv
from ft.errors import InputError, RunError
from ft.plugins.metadata import parse_entry_points
from ft.plugins.record import normalize
from ft.plugins.scan import MATCH_GROUPS, REGISTRY_GROUP
from ft.registry.shared import PYPROJECT, completed, shared_by

_TEST = re.compile(r"test_.*\.py|conftest\.py")


@dataclass(frozen=True)
class Wheel:
    """What a wheel's file says. ``metadata`` are the header fields, with the readme as payload.

    ``points`` are the ``(group, name, value)`` of its entry points, ``damage`` what is wrong
    with the file that lists them, and ``names`` the paths of all files in it.
    """

    path: Path
    metadata: email.message.Message
    points: Sequence[tuple[str, str, str]]
    damage: str
    names: Sequence[str]

    @property
    def distribution(self) -> str:
        return normalize(self.header("Name"))

    @property
    def version(self) -> str:
        return self.header("Version")

    @property
    def digest(self) -> str:
        """``sha256:…`` of the file."""
        return f"sha256:{hashlib.sha256(self.path.read_bytes()).hexdigest()}"

    @property
    def plugins(self) -> list[tuple[str, str, str]]:
        """Kind, name and ``module:object`` of each plugin."""
        return [
            (group.removeprefix("ft."), name, value)
            for group, name, value in self.points
            if group.startswith("ft.")
            and not group.startswith(MATCH_GROUPS)
            and group != REGISTRY_GROUP
        ]

    @property
    def matches(self) -> list[tuple[str, str, str]]:
        """Group, key and ``module:object`` of what leads to a plugin without its name."""
        return [
            (group.removeprefix(MATCH_GROUPS), key, value)
            for group, key, value in self.points
            if group.startswith(MATCH_GROUPS)
        ]

    def header(self, name: str) -> str:
        """A header field; empty where the wheel does not have it."""
        return str(self.metadata.get(name) or "").strip()

    def headers(self, name: str) -> list[str]:
        """A header field that may be there several times."""
        return [str(value).strip() for value in self.metadata.get_all(name, [])]


def build_wheel(folder: Path, output: Path) -> Wheel:
    """Build the project in ``folder`` into ``output``, with uv, as an index will get it.

    What a repository says of all its projects is added (:mod:`ft.registry.shared`). Raises
    :class:`ft.errors.InputError` where there is no project, and :class:`ft.errors.RunError`
    where it cannot be built.
    """
    if not (folder / PYPROJECT).is_file():
        raise InputError(
            "has no pyproject.toml",
            where=str(folder),
            hint="give the folder of the plugin's project: ft plugins publish --check FOLDER",
        )
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as scratch:
        shared = shared_by(folder)
        project = completed(folder, shared, Path(scratch, "project")) if shared else folder
        # what is taken from beside the project (tool.uv.sources) is there on no other machine
        command = ("build", "--wheel", "--no-sources", "--out-dir", scratch, project)
        run_uv(*command, failed=f"the wheel of {folder} cannot be built")
        (built,) = Path(scratch).glob("*.whl")
        return read_wheel(built.replace(output / built.name))


def read_wheel(file: Path) -> Wheel:
    """Read a wheel; nothing of it is imported. Raises :class:`ft.errors.InputError`."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            (headers,) = (name for name in names if name.endswith(".dist-info/METADATA"))
            listed = headers.replace("METADATA", "entry_points.txt")
            metadata = email.message_from_string(archive.read(headers).decode("utf-8"))
            data = archive.read(listed) if listed in names else b""
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"is no wheel that can be read: {error}", where=str(file)) from error
    points, damage = parse_entry_points(data)
    return Wheel(file, metadata, points, damage, names)


def stray_files(wheel: Wheel) -> list[str]:
    """What does not belong into the wheel of a plugin, each once: tests, and what lies at the
    top and is neither metadata nor a package that an entry point names.
    """
    own = {value.partition(":")[0].partition(".")[0] for _, _, value in wheel.points}
    stray: dict[str, None] = {}
    for name in wheel.names:
        path = PurePosixPath(name)
        top, *_ = path.parts
        if top.endswith(".dist-info"):
            continue
        if top.removesuffix(".py") not in own:
            stray[top] = None
        elif {"test", "tests"} & {*path.parts[:-1]} or _TEST.fullmatch(path.name):
            stray[name] = None
    return list(stray)


def kit_report(wheel: Wheel, proof: Path | None = None) -> dict[str, Any]:
    """What ``ft plugins test --json`` finds of the plugins of a wheel, installed by itself.

    It runs in a process of its own, with the wheel's files before all else on the path and
    beside this environment's core: no file of the project's folder can take the place of one
    that the wheel lacks. With ``proof``, a report of the kit from a machine with an accelerator,
    level 3 is asked for as well. Raises :class:`ft.errors.RunError` where there is no report.
    """
    with tempfile.TemporaryDirectory() as scratch:
        site, work = Path(scratch, "site"), Path(scratch, "work")
        work.mkdir()
        python = ("--python", sys.executable)
        run_uv(
            *("pip", "install", *python, "--target", site, "--no-deps", "--no-index", wheel.path),
            failed=f"{wheel.path} cannot be installed",
        )
        before = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(site), *([before] if before else [])])
        command = [sys.executable, "-m", "ft", "plugins", "test", "--dist", wheel.distribution]
        if proof is not None:
            command += ["--level", "3", "--proof", str(proof.absolute())]
        done = subprocess.run(
            [*command, "--json", "report.json"],
            # a folder without a project's policy, and without its packages
            cwd=work,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            report = json.loads((work / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = (done.stderr or done.stdout).strip()
            raise RunError(f"the conformance kit ended without a report\n{said}") from None
    tried = [plugin["path"] for plugin in report["plugins"]]
    if not all(Path(place).is_relative_to(site) for place in tried):
        raise RunError(f"the kit tried {', '.join(tried)} and not the wheel")
    return report
