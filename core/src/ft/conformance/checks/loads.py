"""Level 1: the plugin loads, quickly and without side effects."""

from __future__ import annotations

from ft.conformance.check import check
from ft.conformance.subject import Subject


@check("every", level=1, light=True)
def imports(subject: Subject) -> None:
    """The entry point leads to a plugin.

    Why: every other check needs the object.

    Passes: importing the module and reading the attribute gives an object of the base class
    of its kind.

    Fails: a module that raises, exits or is gone; an entry point that names a class rather
    than an object of it.

    Example: ``module mynet has no 'familly'``.
    """
    assert subject.plugin.kind == subject.kind
