"""A lock in the forms that other tools read."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import ft
from ft.environment.lock import Lock, Locked
from ft.errors import InputError

_CYCLONEDX = {
    "md5": "MD5",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
}
"""The names that CycloneDX has for hash functions, by those that Python has."""


def requirements(lock: Lock) -> str:
    """``requirements.txt`` with the hashes of all files, as pip checks them.

    Wheels that the lock names by path are found by ``--find-links``.
    """
    return "".join(" \\\n    ".join(_requirement(entry)) + "\n" for entry in lock.packages)


def constraints(lock: Lock) -> str:
    """A constraints file: versions alone, for an installation beside the lock."""
    return "".join(f"{_pinned(entry)}\n" for entry in lock.packages)


def cyclonedx(lock: Lock) -> str:
    """A bill of materials, CycloneDX 1.6 as JSON (https://cyclonedx.org/docs/1.6/json/).

    The same lock gives the same text: there is no time in it, and its serial number follows
    from what is locked.
    """
    said = "\n".join(" ".join((_pinned(entry), *entry.hashes)) for entry in lock.packages)
    digest = hashlib.sha256(said.encode()).digest()
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "ft", "version": ft.__version__}]
            },
            "component": {
                "type": "application",
                "bom-ref": "environment",
                "name": lock.set or lock.file.stem,
            },
        },
        "components": [_component(entry) for entry in lock.packages],
    }
    return json.dumps(document, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Lock], str]] = {
    "requirements": requirements,
    "constraints": constraints,
    "cyclonedx": cyclonedx,
}
"""What a lock can be written as."""


def _pinned(entry: Locked) -> str:
    if not entry.version:
        raise InputError(
            f"{entry.name} has no version",
            where=entry.where,
            hint="a folder or a checkout cannot be exported; lock a built wheel",
        )
    marker = f" ; {entry.marker}" if entry.marker else ""
    return f"{entry.name}=={entry.version}{marker}"


def _requirement(entry: Locked) -> Iterator[str]:
    yield _pinned(entry)
    if entry.unhashed:
        raise InputError(
            f"{entry.name} has no hash for {entry.unhashed[0].rpartition('/')[2]}",
            where=entry.where,
            hint='nothing is installed unchecked; "ft env lock" writes all hashes',
        )
    for digest in entry.hashes:
        yield f"--hash={digest}"


def _component(entry: Locked) -> dict[str, Any]:
    _pinned(entry)
    package = f"pkg:pypi/{quote(entry.name)}@{quote(entry.version)}"
    return {
        "type": "library",
        "bom-ref": package,
        "name": entry.name,
        "version": entry.version,
        "purl": package,
        "externalReferences": [
            {
                "type": "distribution",
                "url": file.place,
                "hashes": [
                    {"alg": _CYCLONEDX[kind], "content": value}
                    for kind, value in sorted(file.hashes.items())
                    if kind in _CYCLONEDX
                ],
            }
            for file in entry.artifacts
        ],
    }
