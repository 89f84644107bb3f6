"""What need not be tried again, because the very files were."""

from __future__ import annotations

from functools import cache

from ft.conformance.check import KIT
from ft.conformance.report import digest_of, reachable
from ft.plugins.levels import levels_of
from ft.plugins.record import Record, normalize
from ft.registry.model import Registry
from ft.registry.read import read_registries


def is_recorded(record: Record, level: int) -> bool:
    """Whether a registry has a proof of the distribution's installed files, by this kit."""
    files = f"sha256:{digest_of(record)}"
    return any(
        proof.files == files and proof.kit == KIT and proof.level >= level
        for entry in _registries().published
        if entry.distribution == normalize(record.distribution)
        for proof in entry.proofs
    )


def is_proved(record: Record, level: int) -> bool:
    """Whether a registry has a proof, or this machine found the plugin to reach the level.

    A level that the plugin's kind has no checks for is not asked of it.
    """
    level = min(level, reachable(record.kind))
    here = levels_of([record]).get(record.id)
    found = here is not None and here.kit == KIT and here.level is not None and here.level >= level
    return found or is_recorded(record, level)


@cache
def _registries() -> Registry:
    return read_registries()
