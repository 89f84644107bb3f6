"""How a broken plugin is declared: with the checks that it must fail, those and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A plugin that is broken in one way.

    ``fails`` are the ids of the checks that find it. ``value`` is the entry point, ``kind`` that
    of the plugin. The rest is its distribution: further ``headers`` of its metadata in place of
    the usual ones, ``requires``, ``summary``, ``match`` keys and ``files`` that lie beside it;
    ``limits`` are those of the kit, for one that hangs or swells; ``level`` is the one up to which
    it is tried.
    """

    name: str
    kind: str
    value: str
    fails: frozenset[str]
    headers: str = "License-Expression: Apache-2.0\nRequires-Python: >=3.11\n"
    requires: Sequence[str] = ("ft-core>=0.1,<1",)
    summary: str = "A plugin that is broken in one way"
    match: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    level: int = 2


MUTANTS: dict[str, Mutant] = {}


def mutant(*fails: str, kind: str = "", **distribution: Any) -> Callable[[Any], Any]:
    """Declare a broken plugin: a class without arguments, or a function that makes the object.

    Its name is that of the class or function; the object takes its place in the module. The
    docstring says what is broken. ``kind`` is needed where the object is no plugin at all.
    """

    def declare(make: Any) -> Any:
        made = make()
        name = make.__name__.lower().replace("_", "-")
        assert name not in MUTANTS, name
        MUTANTS[name] = Mutant(
            name=name,
            kind=kind or made.kind,
            value=f"{make.__module__}:{make.__name__}",
            fails=frozenset(fails),
            **distribution,
        )
        return made

    return declare
