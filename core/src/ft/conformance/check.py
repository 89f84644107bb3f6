"""What a check is: data about it, and the function that looks.

A module of :mod:`ft.conformance.checks` declares checks with :func:`check`; nothing else has to
know of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ft.conformance.subject import Subject

KIT = "1.0"
"""The version of the kit; a check's ``since`` is the one that it appeared in."""
LEVELS = {0: "listed", 1: "loads", 2: "correct", 3: "proven"}
ANY = "every"
"""In place of a kind: a check of plugins of every kind."""


class Skip(Exception):
    """The check does not apply to this plugin; the reason is shown."""


class NotRun(Exception):
    """The check applies and something that it needs is absent here; it holds the level down."""


@dataclass(frozen=True)
class Check:
    """One check.

    ``id`` is ``<kind>.<name>``; ``level`` the level that a plugin cannot reach without passing;
    ``since`` the version of the kit in which it appeared; ``needs`` the capability word without
    which the plugin is asked to refuse instead; ``light`` checks need neither torch nor
    transformers, as those up to level 1 must not, and those of ``metadata`` look at the
    subject's record alone, also where the plugin cannot be imported. ``text`` is the
    documentation: the docstring of the function, whose first line is the title.
    """

    id: str
    kind: str
    level: int
    since: str
    text: str
    run: Callable[[Subject], None] = field(repr=False)
    needs: str | None = None
    light: bool = False
    metadata: bool = False
    refuses: Callable[[Subject], None] | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].rstrip(".")

    def applies_to(self, kind: str) -> bool:
        return self.kind in (ANY, kind)


_FOUND: dict[str, Check] = {}


def check(
    kind: str,
    *,
    level: int = 2,
    since: str = "1.0",
    needs: str | None = None,
    light: bool = False,
    metadata: bool = False,
    refuses: Callable[[Subject], None] | None = None,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Declare a check; its id comes from the function's name.

    The function gets a :class:`ft.conformance.subject.Subject` and raises where the plugin
    fails; an ``AssertionError`` with a message says best what is wrong. ``refuses`` is the
    negative check: it runs in its place where the plugin does not have the capability
    ``needs``, and raises unless the plugin refuses at once with a clear error. The docstring
    has a title, then paragraphs that begin with ``Why:``, ``Passes:``, ``Fails:`` and
    ``Example:``.
    """

    def declare(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        id = f"{kind}.{function.__name__.strip('_').replace('_', '-')}"
        if id in _FOUND:
            raise ValueError(f"two checks are called {id}")
        text = inspect.cleandoc(function.__doc__ or "")
        _FOUND[id] = Check(
            id, kind, level, since, text, function, needs, light or metadata, metadata, refuses
        )
        return function

    return declare


@cache
def checks() -> dict[str, Check]:
    """Every check of the kit by id, by level and then in the order of their modules.

    Those of every kind come first: they see what a plugin changes the first time that it is used.
    """
    from ft.conformance import checks as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_FOUND.items(), key=lambda item: (item[1].level, item[1].kind != ANY)))


def checks_for(kind: str, level: int = 3) -> list[Check]:
    """The checks of plugins of ``kind`` up to a level."""
    return [c for c in checks().values() if c.applies_to(kind) and c.level <= level]
