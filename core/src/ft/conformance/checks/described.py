"""Level 0: the plugin describes itself."""

from __future__ import annotations

import re
from typing import Any

import pydantic

from ft.conformance.check import ANY, Skip, check
from ft.conformance.subject import Subject
from ft.recipe.keys import option_fields

PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}")


@check(ANY, level=0, light=True)
def class_documented(subject: Subject) -> None:
    """The plugin's class has a docstring.

    Why: ``ft plugins info`` shows it as what the plugin does.

    Passes: the class of the object, or one between it and the base class of its kind, has a
    docstring. An object of the base class itself is data, and its summary says what it is.

    Fails: a subclass without one: that of the base class describes something else.

    Example: ``class MyAdapter has no docstring, and ft plugins info has nothing to show``.
    """
    own = type(subject.plugin)
    if "kind" in vars(own):
        raise Skip("its class is the base class of its kind")
    classes = own.__mro__[: own.__mro__.index(_base_of(own))]
    texts = [(vars(one).get("__doc__") or "").strip() for one in classes]
    assert [text for text in texts if len(text.split()) >= 2], (
        f"class {own.__name__} has no docstring, and ft plugins info has nothing to show"
    )


def _base_of(own: type) -> type:
    """The base class of the kind that a plugin's class belongs to."""
    return next(one for one in own.__mro__ if "kind" in vars(one))


@check(ANY, level=0, light=True)
def options_documented(subject: Subject) -> None:
    """Every option is described.

    Why: the description is the option's documentation: in ``ft plugins info``, in the message
    about a wrong value, and in an editor that completes a recipe.

    Passes: each field of ``Options`` has a ``description`` that is not simply its name.

    Fails: ``rank: int = 8``, where ``rank: int = Field(8, description="inner width")`` is meant.

    Example: ``no description: option rank``.
    """
    fields = option_fields(type(subject.plugin).Options)
    bare = [
        name
        for name, option in fields.items()
        if _words(option.description or "") in ([], _words(name))
    ]
    assert not bare, f"no description: option {', '.join(bare)}"


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


@check(ANY, level=0, light=True)
def paper(subject: Subject) -> None:
    """The paper is an arXiv number.

    Why: ``ft plugins info`` makes a link of it.

    Passes: ``paper`` is ``arXiv:2106.09685``, or ``None`` for what comes from no paper.

    Fails: a title, a URL, the number alone.

    Example: ``paper is '2106.09685': write it as arXiv:2106.09685``.
    """
    stated: Any = subject.plugin.paper
    assert stated is None or (isinstance(stated, str) and PAPER.fullmatch(stated)), (
        f"paper is {stated!r}: write it as arXiv:2106.09685"
    )


@check(ANY, level=0, light=True)
def samples_bind(subject: Subject) -> None:
    """The samples of options are accepted.

    Why: every other check of the kit uses the plugin with these; documentation and tests take
    them as well. A plugin with an option that has no default says there what to give it.

    Passes: ``samples`` has one mapping at least, and the plugin accepts each.

    Fails: an option that must be given and is not; one that was renamed since.

    Example: ``the sample {'width': 8} is refused: rank: Field required``.
    """
    try:
        bound = subject.bind()
    except pydantic.ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'options'}: {one['msg']}" for one in error.errors()
        )
        raise AssertionError(f"the sample {dict(subject.sample)} is refused: {said}") from None
    assert bound is not subject.plugin, "binding it returns the shared object rather than a copy"
    assert bound.name == subject.name, f"the bound plugin has the name {bound.name!r}"


def bound(subject: Subject) -> Any:
    """The plugin with its sample, for a check that is about something else."""
    try:
        return subject.bind()
    except Exception:
        raise Skip("its sample of options does not bind, as every.samples-bind says") from None
