"""The environment of a Python interpreter: where its distributions lie, and which they are."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ft.errors import InputError
from ft.plugins.record import normalize

_ASK = (
    "import json, platform, sysconfig; p = sysconfig.get_paths();"
    "print(json.dumps([platform.python_version(), p['purelib'], p['platlib']]))"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed distribution; ``info`` is its dist-info folder."""

    name: str
    version: str
    info: Path

    @property
    def extends_ft(self) -> bool:
        """Whether it has plugins or a registry, as its entry points say."""
        try:
            return b"[ft." in (self.info / "entry_points.txt").read_bytes()
        except OSError:
            return False


@dataclass(frozen=True)
class Environment:
    """An interpreter, its version (``3.11.7``), and the folders it installs into."""

    python: Path
    version: str
    sites: tuple[Path, ...]

    @cached_property
    def folders(self) -> tuple[Installed, ...]:
        """Every dist-info folder, as it was when first asked."""
        return tuple(_folders(self.sites))

    @property
    def installed(self) -> Mapping[str, Installed]:
        """The distributions by name; of two with one name the first."""
        return {found.name: found for found in reversed(self.folders)}


def environment_of(python: Path | None = None) -> Environment:
    """The environment of an interpreter, or of the one that runs.

    Raises :class:`ft.errors.InputError` where ``python`` is no interpreter.
    """
    if python is None:
        paths = sysconfig.get_paths()
        # not resolved: the link of a virtual environment is what makes it one
        own = Path(sys.executable)
        return _environment(own, platform.python_version(), paths["purelib"], paths["platlib"])
    try:
        # isolated, so that neither the working folder nor PYTHONPATH answers in its place
        done = subprocess.run(
            [python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=60, check=True
        )
        return _environment(python.absolute(), *json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InputError(
            f"is no Python interpreter that answers: {error}",
            where=str(python),
            hint="give the python of an environment, such as .venv/bin/python",
        ) from error


def _environment(python: Path, version: str, *sites: str) -> Environment:
    return Environment(python, version, tuple(dict.fromkeys(map(Path, sites))))


def _folders(sites: tuple[Path, ...]) -> Iterator[Installed]:
    for site in sites:
        for name in sorted(os.listdir(site) if site.is_dir() else ()):  # noqa: PTH208
            stem, suffix = name[: -len(".dist-info")], name[-len(".dist-info") :]
            if suffix == ".dist-info":
                project, _, version = stem.rpartition("-")
                yield Installed(normalize(project or stem), version, site / name)
