"""The entries of a registry, as plain values.

A registry is a distribution with an entry point in the group ``ft.registry`` whose value is a
package; its files are read from there, and the package is not imported. Each entry knows its
``source``: the distribution that said it, and the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GRANTS = ("trust-remote-code", "pickled-weights", "unpinned-revisions")
"""What needs leave, as the ``grants`` of a set or of a policy give it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who says something: a registry's distribution and the file in it, or a file of a team."""

    registry: str
    file: str

    def __str__(self) -> str:
        return f"{self.registry}: {self.file}" if self.registry else self.file


@dataclass(frozen=True, slots=True)
class PublishedPlugin:
    """One plugin of a published distribution.

    ``matches`` are what leads to it without its name, as entry points ``ft.match.<group>`` say
    it: ``("model_type", "qwen3")``, ``("checkpoint", "Qwen/Qwen3-*")``. ``papers`` are arXiv
    numbers and other references.
    """

    kind: str
    name: str
    summary: str = ""
    matches: tuple[tuple[str, str], ...] = ()
    papers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """``kind:name``, as people write it."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Proof:
    """The level that the conformance kit found one wheel of a distribution to have."""

    version: str
    level: int
    kit: str
    wheel: str
    """``sha256:…`` of the wheel."""
    files: str = ""
    """``sha256:…`` of the files that it installs (:func:`ft.conformance.report.digest_of`), by
    which an installation is known to be of this wheel; empty where nobody said."""


@dataclass(frozen=True, slots=True)
class Published:
    """A published distribution."""

    distribution: str
    source: Source
    summary: str = ""
    repository: str = ""
    steward: str = ""
    licence: str = ""
    plugins: tuple[PublishedPlugin, ...] = ()
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True, slots=True)
class Advisory:
    """Versions of a distribution that are not to be used: all below ``lowest_good``.

    Without ``lowest_good`` no version is good.
    """

    id: str
    distribution: str
    reason: str
    source: Source
    lowest_good: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Set:
    """A curated set: which distributions of plugins, in which ranges, with which options.

    ``plugins`` maps a distribution to a version range (``">=0.1,<1"``; empty: any) and
    ``options`` a ``kind:name`` to defaults of its options. ``includes`` are names of other
    sets, whose plugins count as this one's. ``allow`` is what may load beside them, and
    ``grants`` are words of :data:`GRANTS`. ``registries`` are the distributions that say it
    and the sets that it includes, known once those are resolved.
    """

    name: str
    summary: str
    source: Source
    owner: str = ""
    plugins: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """What all installed registries say together."""

    published: tuple[Published, ...] = ()
    advisories: tuple[Advisory, ...] = ()
    sets: Mapping[str, Set] = field(default_factory=dict)
