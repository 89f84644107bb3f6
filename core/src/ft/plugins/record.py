"""What is known of a plugin without importing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

State = Literal[
    "ok", "incompatible", "missing-dependency", "broken", "denied", "conflict", "shadowed"
]

_SEPARATORS = re.compile(r"[-_.]+")


def normalize(name: str) -> str:
    """A distribution's name in the one spelling that compares equal (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


@dataclass(frozen=True, slots=True)
class Record:
    """One entry point of one installed distribution.

    ``state`` says whether it can be loaded, and ``reason`` why not:

    * ``ok``;
    * ``incompatible``: made for another ft-core or another Python;
    * ``missing-dependency``: a distribution that it requires is absent or out of range;
    * ``broken``: its metadata is damaged, its module is gone, or its import failed
      (``remembered``: when it was last tried, which a run may try again);
    * ``denied``: policy forbids it;
    * ``conflict``: another distribution claims the same kind and name;
    * ``shadowed``: so it does, and ``prefer`` in ft.toml chose the other one.

    ``value`` is the entry point's ``module:object``, ``requires`` the distribution's
    requirements, ``location`` its dist-info folder. ``seal`` is the digest that its RECORD must
    have, in mode ``locked``, and ``sealed_by`` the lines that say so.
    """

    kind: str
    name: str
    distribution: str
    version: str
    summary: str = ""
    value: str = ""
    requires: tuple[str, ...] = ()
    state: State = "ok"
    reason: str = ""
    location: str = ""
    keywords: str = ""
    remembered: bool = False
    seal: str = ""
    sealed_by: str = ""

    @property
    def id(self) -> str:
        """``kind:name``, as people write it."""
        return f"{self.kind}:{self.name}"
