"""Level 1: the plugin loads, quickly and without side effects."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from ft.conformance.check import ANY, Skip, check
from ft.conformance.guard import Imported, own_module, watch_import
from ft.conformance.subject import Subject
from ft.plugins.doctor import examine
from ft.plugins.record import Record

BUDGET = 50.0
"""Milliseconds that a plugin's import may compute, over that of ``ft.api``."""
TRIES = 3
PUBLIC = ("ft.api", "ft.conformance")


def record_of(subject: Subject) -> Record:
    """The record of the plugin; an object that comes from nowhere is not tried."""
    if subject.record is None:
        raise Skip("it comes from no installed distribution")
    return subject.record


def _computed(record: Record) -> float | None:
    """The milliseconds of the quickest of three imports in processes of their own.

    ``None`` where one does not end.
    """
    found: list[float] = []
    while len(found) < TRIES and min(found, default=BUDGET + 1) > BUDGET:
        (one,) = examine([record], timeout=60, first=("ft.conformance.reference",))
        if one.cpu_milliseconds is None:
            return None
        found.append(one.cpu_milliseconds)
    return min(found)


def imported(subject: Subject) -> Imported:
    """What its import does in a fresh process; looked at once for all checks."""
    record = record_of(subject)
    if record not in _seen:
        _seen[record] = watch_import(record, subject.folder / "import")
    return _seen[record]


_seen: dict[Record, Imported] = {}


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
    try:
        spent: float | None = imported(subject).cpu_milliseconds
    except AssertionError:
        spent = None
    if spent is not None and spent > BUDGET:  # once more, with nobody looking on
        spent = _computed(record_of(subject))
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
    heavy = imported(subject).heavy
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
