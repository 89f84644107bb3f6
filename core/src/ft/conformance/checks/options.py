"""Level 1: hooks that are called, and options that take no nonsense."""

from __future__ import annotations

import inspect
from typing import Any

import pluggy
import pydantic

from ft.api import hookspecs
from ft.conformance.check import ANY, check
from ft.conformance.checks.described import bound
from ft.conformance.subject import Subject
from ft.recipe.keys import DataKeys, ModelKeys, PartKeys, option_fields

UNKNOWN = "no_such_option_of_the_kit"


@check(ANY, level=1, light=True)
def hooks(subject: Subject) -> None:
    """The hooks are ones that core calls, with arguments that it has.

    Why: a method that lacks ``@hookimpl``, or that has a name which no hook has, is never
    called, and nothing says so; an argument that has a default is never given; one that core
    does not have ends the run.

    Passes: every attribute ``ft_…`` of the plugin is a hook of ``ft.api.hookspecs`` and is marked
    ``@hookimpl``, gives no argument a default, and pluggy registers the bound plugin.

    Fails: ``def ft_step_ended(self, run, metric)``, where core says ``metrics``; a hook that
    comes from a mixin without its mark.

    Example: ``hook ft_step_ended has arguments that core does not have: metric``.
    """
    plugin = bound(subject)
    for name in dir(plugin):
        if not name.startswith("ft_"):
            continue
        assert hasattr(hookspecs, name), f"{name} is no hook of core: ft.api.hookspecs has them"
        assert hasattr(getattr(plugin, name), "ft_impl"), (
            f"{name} lacks @hookimpl and would never be called"
        )
        parameters = inspect.signature(getattr(plugin, name)).parameters.values()
        kept = [one.name for one in parameters if one.default is not one.empty]
        assert not kept, f"{name} gives {kept[0]} a default, which is all that it would ever get"
    manager = pluggy.PluginManager("ft")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin)
    except pluggy.PluginValidationError as error:
        raise AssertionError(_of_hook(plugin, error)) from None


def _of_hook(plugin: Any, error: Exception) -> str:
    """Which hook pluggy refuses, and why."""
    for name in (name for name in dir(plugin) if name.startswith("ft_")):
        known = inspect.signature(getattr(hookspecs, name)).parameters
        more = sorted(inspect.signature(getattr(plugin, name)).parameters.keys() - known.keys())
        if more:
            return f"hook {name} has arguments that core does not have: {', '.join(more)}"
    return " ".join(str(error).split())


@check(ANY, level=1, light=True)
def unknown_options_refused(subject: Subject) -> None:
    """An unknown option is refused, and so is a name that a recipe needs for itself.

    Why: a word that is mistyped and passed over trains for hours with the default in its place.

    Passes: an option that the plugin does not have raises ``pydantic.ValidationError`` which
    names it; no option is called as a key that the part of a recipe has itself.

    Fails: ``Options`` that derives from ``pydantic.BaseModel`` rather than from the base class's
    options; ``extra="allow"``; an option ``name``.

    Example: ``option no_such_option_of_the_kit is accepted, and nothing says that it is unknown``.
    """
    taken: dict[str, type[pydantic.BaseModel]] = {"model": ModelKeys, "dataset": DataKeys}
    keys = taken.get(subject.kind, PartKeys).model_fields
    fields = option_fields(type(subject.plugin).Options)
    clash = sorted(fields.keys() & keys.keys())
    assert not clash, f"option {clash[0]} is called as a key of the recipe itself"
    bound(subject)
    assert _refused(subject, UNKNOWN, 1), (
        f"option {UNKNOWN} is accepted, and nothing says that it is unknown"
    )


@check(ANY, level=1, light=True)
def wrong_values_refused(subject: Subject) -> None:
    """A value of the wrong type is refused under its option's name.

    Why: it fails before anything is loaded, with a message that says which line of the recipe to
    mend; otherwise it fails somewhere in a library an hour later.

    Passes: for every option at least one of a word, a number, a list and a mapping that make no
    sense is refused with ``pydantic.ValidationError`` which names the option.

    Fails: an option of type ``Any`` or without constraint; a validator that raises something
    else than ``ValueError``, or that turns all into text.

    Example: ``option rank takes any value: neither 'ft-kit nonsense' nor [{'ft-kit': -1}] is
    refused``.
    """
    bound(subject)
    nonsense: tuple[Any, ...] = ("ft-kit nonsense", [{"ft-kit": -1}], {"ft-kit": [-1]}, -1e99)
    for name in option_fields(type(subject.plugin).Options):
        assert any(_refused(subject, name, value) for value in nonsense), (
            f"option {name} takes any value: neither {nonsense[0]!r} nor {nonsense[1]!r} is refused"
        )


def _refused(subject: Subject, name: str, value: Any) -> bool:
    """Whether an option with this value is refused under its name.

    Raises :class:`AssertionError` for what is no refusal.
    """
    try:
        subject.bind(**{name: value})
    except pydantic.ValidationError as error:
        if any(one["loc"][:1] == (name,) for one in error.errors()):
            return True
        said = error.errors()[0]["msg"]
        raise AssertionError(f"{name}: {value!r} is refused without its name: {said}") from None
    except Exception as error:
        raise AssertionError(
            f"{name}: {value!r} fails with {type(error).__name__} ({error}) rather than with "
            "pydantic.ValidationError"
        ) from error
    return False


@check(ANY, level=1, light=True)
def options_frozen(subject: Subject) -> None:
    """Bound options cannot be changed, and no plugin object is shared with another run.

    Why: what ``resolved.yaml`` says is what ran. An option that a hook changes on the way makes
    the record of the run a lie.

    Passes: setting an option of a bound plugin raises; binding leaves the shared object as it
    was, without a name and without options.

    Fails: ``model_config = ConfigDict(frozen=False)``; a ``bind`` that keeps the options at the
    shared object.

    Example: ``option rank of the bound plugin can be set``.
    """
    before = dict(vars(subject.plugin))
    plugin = bound(subject)
    more = sorted(vars(subject.plugin).keys() - before.keys())
    assert not more, f"binding gives the shared object {', '.join(more)}"
    assert vars(subject.plugin) == before, "binding changes the shared object"
    for name in type(plugin.options).model_fields:
        try:
            setattr(plugin.options, name, getattr(plugin.options, name))
        except pydantic.ValidationError:
            continue
        raise AssertionError(f"option {name} of the bound plugin can be set")
