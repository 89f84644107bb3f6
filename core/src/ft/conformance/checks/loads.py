"""Level 1: the plugin loads, quickly and without side effects, and takes no nonsense."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pluggy
import pydantic

from ft.api import VOCABULARY, Limit, hookspecs
from ft.conformance.check import ANY, Skip, check, checks
from ft.conformance.checks.listed import bound
from ft.conformance.guard import Imported, own_module, watch_import
from ft.conformance.subject import Subject
from ft.plugins.doctor import Finding, examine
from ft.plugins.record import Record
from ft.recipe.keys import MODEL, PART_KINDS, DataKeys, ModelKeys, PartKeys, option_fields

BUDGET = 50.0
"""Milliseconds that a plugin's import may compute, over that of ``ft.api``."""
TRIES = 3
PUBLIC = ("ft.api", "ft.conformance")
UNKNOWN = "no_such_option_of_the_kit"


def record_of(subject: Subject) -> Record:
    """The record of the plugin; an object that comes from nowhere is not tried."""
    if subject.record is None:
        raise Skip("it comes from no installed distribution")
    return subject.record


@lru_cache(maxsize=4)
def _found(record: Record) -> Finding:
    """The import in a process of its own, the quickest of three where the first is slow."""
    found: list[Finding] = []
    while len(found) < TRIES:
        # the kit itself is there already: a plugin that has its own test beside it may use it
        found += examine([record], timeout=60, first=("ft.conformance.reference",))
        if (found[-1].cpu_milliseconds or 0) <= BUDGET:
            break
    return min(found, key=lambda one: one.cpu_milliseconds or 0)


def imported(subject: Subject) -> Imported:
    """What its import does in a fresh process; looked at once for all checks."""
    record = record_of(subject)
    if record not in _seen:
        _seen[record] = watch_import(record, subject.folder / "import")
    return _seen[record]


_seen: dict[Record, Imported] = {}


# -------------------------------------------------------------------------------------------
# The import
# -------------------------------------------------------------------------------------------


@check(ANY, level=1, light=True)
def imports(subject: Subject) -> None:
    """The entry point leads to a plugin.

    Why: every other check needs the object.

    Passes: importing the module and reading the attribute gives an object of the base class
    of its kind.

    Fails: a module that raises, exits or is gone; an entry point that names a class rather
    than an object of it.

    Example: ``module mynet has no 'familly'``.
    """
    declared = subject.record.kind if subject.record is not None else subject.kind
    assert subject.plugin.kind == declared, (
        f"it is declared as a {declared}, and the object is a {subject.plugin.kind}"
    )


@check(ANY, level=1, light=True)
def import_is_quick(subject: Subject) -> None:
    """The import takes less than 50 ms.

    Why: a run imports every plugin of its recipe, and ``ft plugins info``, ``ft matrix`` and the
    completion of an editor import many.

    Passes: in a fresh process in which ``ft.api`` is imported, the import of the plugin computes
    for at most 50 ms (CPU time, the best of three).

    Fails: a large library at module level; a table that is computed, or a file that is read,
    when the module is imported rather than when it is needed.

    Example: ``its import computes for 840 ms (best of 3), of which a plugin has 50``.
    """
    spent = _found(record_of(subject)).cpu_milliseconds
    if spent is None:
        raise Skip("its import does not end, as every.imports says")
    subject.measure("import_ms", spent)
    assert spent <= BUDGET, (
        f"its import computes for {spent:.0f} ms (best of {TRIES}), of which a plugin has "
        f"{BUDGET:.0f}"
    )


@check(ANY, level=1, light=True)
def import_is_light(subject: Subject) -> None:
    """The import loads no large library.

    Why: commands that train nothing stay quick because neither torch nor transformers is
    imported for them; the plugin that imports them at module level takes that away for all.

    Passes: in a fresh process, after the import of the plugin, none of torch, transformers,
    numpy and their like is loaded.

    Fails: ``import torch`` at the top of a module, where inside of the hook, or under
    ``TYPE_CHECKING``, is meant.

    Example: ``its import loads torch: import it inside of the functions that need it``.
    """
    heavy = _found(record_of(subject)).heavy
    assert not heavy, (
        f"its import loads {' and '.join(heavy)}: import it inside of the functions that need it"
    )


@check(ANY, level=1, light=True)
def imports_only_the_contract(subject: Subject) -> None:
    """Of core, the plugin imports ``ft.api`` alone.

    Why: ``ft.api`` is what core promises to keep; everything else moves between releases, and
    the plugin breaks with it.

    Passes: no file of the plugin's package imports a module of core other than ``ft.api``, those
    below it, and ``ft.conformance``.

    Fails: ``from ft.training.loop import …``, inside of a function too.

    Example: ``mynet/patch.py:7 imports ft.pipeline.load, which is no part of the contract``.
    """
    for file in _files(own_module(record_of(subject))):
        for line, name in _of_core(ast.parse(file.read_text(encoding="utf-8"), str(file))):
            public = name in PUBLIC or name.startswith(tuple(f"{top}." for top in PUBLIC))
            assert public, (
                f"{file.parent.name}/{file.name}:{line} imports {name}, which is no part of the "
                "contract"
            )


def _files(module: str) -> list[Path]:
    spec = importlib.util.find_spec(module)
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return sorted(file for folder in folders for file in folder.rglob("*.py"))
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


def _of_core(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The modules of core that a file imports, with the line."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module == "ft":
            names = [f"ft.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        for name in names:
            if name.partition(".")[0] == "ft":
                yield getattr(node, "lineno", 0), name


@check(ANY, level=1, light=True)
def import_is_quiet(subject: Subject) -> None:
    """The import prints nothing.

    Why: ``ft plugins info --json`` is read by programs, and a line that a plugin prints as it is
    imported stands in the midst of it.

    Passes: a fresh process that imports the plugin writes nothing to either standard stream.

    Fails: a ``print`` that was left; a warning about something deprecated, raised at import.

    Example: ``its import prints: 'mynet: using the slow path'``.
    """
    printed = imported(subject).printed
    assert not printed, f"its import prints: {printed[0][:200]!r}"


@check(ANY, level=1, light=True)
def import_opens_no_connection(subject: Subject) -> None:
    """The import opens no connection.

    Why: it works without a network, and tells nobody that it was used.

    Passes: a fresh process that imports the plugin looks up no host and connects to none.

    Fails: a look for a newer version; telemetry; a table that is downloaded, also where the
    failure is caught.

    Example: ``its import asks for stats.example.org:443``.
    """
    connections = imported(subject).connections
    assert not connections, f"its import asks for {connections[0]}"


@check(ANY, level=1, light=True)
def import_writes_nothing(subject: Subject) -> None:
    """The import writes no file.

    Why: plugins are imported to be looked at, by several processes at once, on machines where
    nothing may be written.

    Passes: a fresh process that imports the plugin changes no file outside of the system's
    temporary folder, and leaves none in the user's home and in the working folder.

    Fails: a cache that is prepared; a log that is opened.

    Example: ``its import writes ~/.mynet/log.txt``.
    """
    written = imported(subject).written
    assert not written, f"its import writes {written[0]}"


@check(ANY, level=1, light=True)
def import_changes_nothing(subject: Subject) -> None:
    """The import changes nothing of the process.

    Why: a plugin is imported because a list shows it, or because a recipe names it beside
    others; whoever did not choose it must not notice.

    Passes: environment variables, working folder, ``sys.path``, filters of warnings, loggers,
    handlers of signals, locale, threads, random generators and the like are after the import of
    the plugin what they were before. What a library that it imports does to the process is not
    held against it.

    Fails: ``os.environ["TOKENIZERS_PARALLELISM"] = "false"`` at module level;
    ``warnings.filterwarnings("ignore")``; ``random.seed(0)``.

    Example: ``its import leaves changed: the filters of warnings has ignore more``.
    """
    changed = imported(subject).changed
    assert not changed, f"its import leaves changed: {'; '.join(changed[:3])}"


# -------------------------------------------------------------------------------------------
# The object
# -------------------------------------------------------------------------------------------


@check(ANY, level=1, light=True)
def hooks(subject: Subject) -> None:
    """The hooks are ones that core calls, with arguments that it has.

    Why: a method that lacks ``@hookimpl``, or that has a name which no hook has, is never
    called, and nothing says so; an argument that core does not have ends the run.

    Passes: every attribute ``ft_…`` of the plugin is a hook of ``ft.api.hookspecs`` and is marked
    ``@hookimpl``, and pluggy registers the bound plugin.

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


@check(ANY, level=1, light=True)
def capability_words(subject: Subject) -> None:
    """The capabilities are words of the vocabulary.

    Why: by them ``ft check`` and ``ft matrix`` say what goes with what; a word that nobody else
    knows is never asked for.

    Passes: ``capabilities()`` answers for each sample of options, with words of
    ``ft.api.VOCABULARY``, and none is both needed and in conflict.

    Fails: ``accepts = {"quantised-base"}``.

    Example: ``ValueError: accepts names quantised-base, which the capability vocabulary … lacks``.
    """
    plugin = bound(subject)
    try:
        said = plugin.capabilities()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    words = {*said.needs, *said.accepts, *said.provides, *said.conflicts}
    unknown = sorted(words - VOCABULARY.keys())
    assert not unknown, f"{unknown[0]} is no word of ft.api.VOCABULARY"
    both = sorted(said.conflicts & (said.needs | said.provides))
    assert not both, f"it is in conflict with {both[0]}, which it needs or brings itself"


@check(ANY, level=1, light=True)
def suggestions(subject: Subject) -> None:
    """What it suggests are parts of a recipe.

    Why: suggestions are filled into every recipe that uses the plugin, and one that cannot be
    read ends all of them.

    Passes: the keys of ``suggests`` are keys of a recipe's parts; each value is a name, a mapping
    of options with or without a name, or a list of these.

    Fails: ``{"optimiser": "adamw"}``; ``{"optimizer": 3e-4}``.

    Example: ``it suggests optimiser, which is no part of a recipe``.
    """
    said: Any = subject.plugin.suggests
    assert isinstance(said, Mapping), f"suggests is no mapping: {said!r}"
    for key, value in said.items():
        assert key in PART_KINDS or key == MODEL, f"it suggests {key}, which is no part of a recipe"
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            assert isinstance(entry, (str, Mapping)), (
                f"it suggests {key}: {entry!r}, which is neither a name nor options"
            )
            name = entry.get("name", "none") if isinstance(entry, Mapping) else entry
            assert isinstance(name, str), f"it suggests {key} of the name {name!r}"
            assert name, f"it suggests {key} without a name"


@check(ANY, level=1, light=True)
def limits(subject: Subject) -> None:
    """The limits are of capabilities that exist, and say why.

    Why: the reason is shown to the user whose recipe asks for what is not there; under
    ``options`` a partial capability is proved.

    Passes: the keys of ``limits`` are words of the vocabulary; each has a state that exists, a
    reason of a few words, and of a partial one the options bind; the plugin claims no word that
    it calls not implemented.

    Fails: a misspelt word; an empty reason; ``accepts`` and ``not-implemented`` of one word.

    Example: ``the limit of packing gives no reason``.
    """
    states = get_args(get_type_hints(Limit)["state"])
    claimed = bound(subject).capabilities() if subject.plugin.limits else None
    for word, limit in subject.plugin.limits.items():
        assert word in VOCABULARY, f"limits names {word}, which is no word of ft.api.VOCABULARY"
        assert limit.state in states, f"the limit of {word} has the state {limit.state!r}"
        assert len(limit.reason.split()) >= 2, f"the limit of {word} gives no reason"
        if limit.state == "partial":
            try:
                subject.bind(**limit.options)
            except pydantic.ValidationError as error:
                raise AssertionError(
                    f"the options under which {word} is there are refused: "
                    f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
                ) from None
        elif claimed is not None:
            words = claimed.accepts | claimed.provides
            assert word not in words, f"it claims {word}, and says that it is not implemented"


@check(ANY, level=1, light=True)
def known_failures(subject: Subject) -> None:
    """Known failures name a check, a reason and where it is followed up.

    Why: a failure that is expected is shown with its reason wherever the plugin's level is; one
    that nobody follows up stays for ever.

    Passes: each entry names a check of this kit that is made of this kind of plugin, once, with a
    reason of a few words and a link.

    Fails: a check that was renamed; ``issue="TODO"``.

    Example: ``known_failures names model.packed, which is no check of a model``.
    """
    seen: set[str] = set()
    for known in subject.plugin.known_failures:
        found = checks().get(known.check)
        assert found is not None, f"known_failures names {known.check}, which the kit does not have"
        assert found.applies_to(subject.kind), (
            f"known_failures names {known.check}, which is no check of a {subject.kind}"
        )
        assert known.check not in seen, f"known_failures names {known.check} twice"
        seen.add(known.check)
        assert len(known.reason.split()) >= 2, f"the known failure of {known.check} has no reason"
        assert known.issue.startswith(("https://", "http://")), (
            f"the known failure of {known.check} has no link to an issue: {known.issue!r}"
        )
