"""RECORD: the list of an installed distribution's files, with their hashes.

An installer writes it from the wheel. It proves nothing by itself, since whoever changes a
file can change its line too; so a digest of it is kept where the lock is.
The form is that of https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

RECORD = "RECORD"
_UNHASHED = (".pyc", f"/{RECORD}")
"""Ends of the paths that an installer lists without a hash: byte code, and RECORD itself."""
_NOT_OF_THE_WHEEL = re.compile(
    # what installers note about their own work, and scripts, whose first line names a Python
    r"[^/]+\.dist-info/(INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json|uv_build\.json)"
    r"|(\.\./)+(bin|Scripts)/.*",
    re.DOTALL,
)


def record_digest(dist_info: Path) -> str:
    """``sha256:…`` of what the RECORD in a dist-info folder says of files out of the wheel.

    One wheel has one digest, whichever tool installs it, wherever and when. Raises ``OSError``
    where there is no RECORD.
    """
    lines = sorted(
        f"{path}\0{digest}\n"
        for path, digest in read_record(dist_info)
        if not _NOT_OF_THE_WHEEL.fullmatch(path)
    )
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def changed_files(dist_info: Path) -> list[str]:
    """The files that are missing or not as RECORD says, by the paths that it gives them.

    Paths start at the folder that holds ``dist_info``. A file that should have a hash and has
    none, or one of another kind than sha256, counts as changed. Byte code is not compared: it
    is made on this machine. Raises ``OSError`` where there is no RECORD.
    """
    site = os.path.dirname(dist_info)  # noqa: PTH120 (a Path for each file is slow)
    return [
        path
        for path, expected in read_record(dist_info)
        if expected != _digest(f"{site}{os.sep}{path}")
    ]


def owned_files(dist_info: Path) -> set[str]:
    """The files that RECORD lists, itself among them and byte code left out."""
    return {path for path, _ in read_record(dist_info)} | {f"{dist_info.name}/{RECORD}"}


def unowned_files(dist_info: Path) -> list[str]:
    """Files in the distribution's own packages and dist-info folder that RECORD does not list.

    Such a file may be imported in the place of a listed one. Byte code in the folders
    ``__pycache__`` is left out: Python reads it only where there is a source.
    """
    site = str(dist_info.parent)
    owned = owned_files(dist_info)
    # a path that climbs out (a script in bin/) or lies at the top has no package folder
    tops = {path.partition("/")[0] for path in owned if "/" in path} - {"..", ""}
    found = []
    for top in sorted(tops):
        for folder, folders, names in os.walk(f"{site}{os.sep}{top}"):
            here = folder[len(site) + 1 :].replace(os.sep, "/")
            kept = here.endswith("/__pycache__")
            # no wheel holds links, and an import follows one where this walk does not
            names += [name for name in folders if os.path.islink(f"{folder}{os.sep}{name}")]  # noqa: PTH114
            found += [
                path
                for name in sorted(names)
                if (path := f"{here}/{name}") not in owned and not (kept and name.endswith(".pyc"))
            ]
    return found


def read_record(dist_info: Path) -> Iterator[tuple[str, str]]:
    """The path of each listed file that has a hash to compare, and the hash in hexadecimal.

    The hash is ``"no hash"`` where it is absent or not one of sha256.
    """
    text = (dist_info / RECORD).read_text(encoding="utf-8")
    for row in csv.reader(text.splitlines()):
        if not row:
            continue
        path, written = row[0], row[1] if len(row) > 1 else ""
        if not path.endswith(_UNHASHED):
            yield path, _hexadecimal(written)


def _hexadecimal(written: str) -> str:
    """``sha256=<URL-safe base64>`` as hexadecimal; nothing that a file could have otherwise."""
    kind, _, value = written.partition("=")
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    return raw.hex() if kind == "sha256" and raw else "no hash"


def _digest(file: str) -> str:
    try:
        with open(file, "rb", buffering=0) as stream:  # noqa: PTH123
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
