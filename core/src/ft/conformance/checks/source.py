"""Sources: a name becomes a path, or a clear error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ft.api import FtError, InputError, Source
from ft.conformance.around import MISSING, prepared_source, resolve
from ft.conformance.bench import Told, some
from ft.conformance.check import Skip, check
from ft.conformance.guard import watch
from ft.conformance.subject import Subject

KINDS_OF_THINGS = ("model", "config", "data")


@check("source")
def says_what_is_missing(subject: Subject) -> None:
    """What is not there, or cannot be reached, is an ``InputError`` that names it.

    Why: a misspelt name is the commonest error of all, and a train without a network is where
    people try things.

    Passes: asked for a model, a configuration and data that do not exist, without a network,
    it raises :class:`ft.api.InputError`, and the message, its place or its hint holds what was
    asked for.

    Fails: ``FileNotFoundError``; an error of the client library; ``None``; a path that is not
    there.

    Example: ``asked for a model that does not exist it fails with ConnectError (…) rather than
    with an ft.api.InputError that names it``.
    """
    plugin = subject.bind()
    for what in KINDS_OF_THINGS:
        asked = f"asked for a {what} that does not exist it"
        try:
            with watch(subject.folder):
                found = resolve(plugin, subject, MISSING, what)
        except InputError as error:
            said = str(error)
        except Exception as error:
            raise AssertionError(
                f"{asked} fails with {type(error).__name__} ({error}) rather than with an "
                "ft.api.InputError that names it"
            ) from error
        else:
            raise AssertionError(f"{asked} returns {found!r}")
        assert MISSING in said, f"{asked} says only {said!r}"


@check("source")
def finds_a_model(subject: Subject) -> None:
    """A model that is there is found: a folder that loads, the same one each time.

    Why: a run looks its sources up when it starts, when it resumes and when its result is
    exported. What is found has to be a checkpoint as ``from_pretrained`` reads it.

    Passes: of what ``Source.tiny`` prepares, the configuration and the tokenizer load for
    ``config``, and the weights too for ``model``; asked again, the path is the same. A source
    of data alone refuses both with an ``InputError``.

    Fails: the folder above the checkpoint; a new temporary folder each time; an archive.

    Example: ``asked twice for the same model it returns cache/a and then cache/b``.
    """
    plugin, name = found_source(subject)
    for what in ("config", "model"):
        path = found_path(plugin, subject, name, what)
        if path is None:
            continue
        assert path.is_dir(), f"a {what} is found at {path}, which is no folder"
        again = resolve(plugin, subject, name, what)
        assert again == path, f"asked twice for the same {what} it returns {path} and then {again}"
        family: Any = subject.partner("model")
        loadable(family.bind("reference"), path, weights=what == "model")


@check("source")
def finds_data(subject: Subject) -> None:
    """Data that is there is found: a file or a folder, the same one each time.

    Why: the lock of a run holds where its data came from, and a resumed run reads it again.

    Passes: of what ``Source.tiny`` prepares, asked for as data, the path exists and holds the
    files; asked again it is the same. A source of models alone refuses with an ``InputError``.

    Fails: a source that looks for a ``config.json`` also where data is wanted; ``None``.

    Example: ``asked for data it returns None``.
    """
    plugin, name = found_source(subject)
    path = found_path(plugin, subject, name, "data")
    if path is None:
        raise Skip("it is for models alone")
    assert any(found.is_file() for found in (path, *path.rglob("*"))), f"{path} holds no file"
    again = resolve(plugin, subject, name, "data")
    assert again == path, f"asked twice for the same data it returns {path} and then {again}"


@check("source")
def tells_what_it_fetches(subject: Subject) -> None:
    """What it copies or downloads is told.

    Why: a download takes minutes, and a command that says nothing looks as if it hung.

    Passes: where resolving writes files, it says so through ``run.progress``: a line, or a bar.
    Asked again it fetches nothing and says nothing.

    Fails: ``print``; a bar of the client library, which core does not see; a download that
    begins anew each time.

    Example: ``it writes 6 files and tells nothing of it``.
    """
    plugin, name = found_source(subject)
    told = Heard()
    before = files_below(subject.folder)
    resolve(plugin, subject, name, "model", told)
    new = files_below(subject.folder).keys() - before.keys()
    if not new:
        raise Skip("it writes nothing")
    assert told.lines, f"it writes {len(new)} files and tells nothing of it: {some(new)}"
    again = Heard()
    between = files_below(subject.folder)
    resolve(plugin, subject, name, "model", again)
    fetched = files_below(subject.folder).keys() - between.keys()
    assert not fetched, f"asked again it fetches again: {some(fetched)}"
    assert not again.lines, f"asked again it tells of it again: {again.lines[0]}"


@check("source")
def only_reads(subject: Subject) -> None:
    """What it finds is not changed.

    Why: a folder of the user's is the user's; what is converted or unpacked goes into a cache.

    Passes: the files that were there before hold the same bytes afterwards, and none lies
    beside them that was not there.

    Fails: a mark that is left in the folder; a file that is renamed or rewritten in place.

    Example: ``looking for a model changes things/tiny/config.json``.
    """
    plugin, name = found_source(subject)
    thing = subject.folder / "things" / "tiny"
    before = files_below(thing)
    for what in KINDS_OF_THINGS:
        with suppress(FtError):
            resolve(plugin, subject, name, what)
        after = files_below(thing)
        changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
        assert not changed, f"looking for a {what} changes {some(changed)}"


class Heard(Told):
    """Counts a bar as something that is told."""

    def track(self, label: str, total: float | None, unit: str = "") -> Any:
        self.lines.append(label)
        return super().track(label, total, unit)


def found_source(subject: Subject) -> tuple[Source, str]:
    """A source and the name of a thing that is there; it does not apply where there is none."""
    plugin, name = prepared_source(subject)
    if name is None:
        raise Skip("it prepares nothing that is found without a network (Source.tiny)")
    return plugin, name


def found_path(plugin: Source, subject: Subject, name: str, what: str) -> Path | None:
    """Where a thing is found; ``None`` where the source is not for such things."""
    try:
        path = resolve(plugin, subject, name, what)
    except InputError:
        if what == "data" or found_path(plugin, subject, name, "data") is not None:
            return None
        raise
    assert isinstance(path, Path), f"asked for a {what} it returns {path!r}"
    assert path.exists(), f"asked for a {what} it returns {path}, which is not there"
    return path


def loadable(family: Any, path: Path, *, weights: bool) -> None:
    """The configuration, the tokenizer and on request the weights in ``path`` can be loaded."""
    import torch

    from ft.api import Run
    from ft.pipeline.defaults import DEFAULTS
    from ft.plugins.selection import Selection

    run = Run(Selection([family], DEFAULTS), folder=path)
    run.device, run.model_folder = torch.device("cpu"), path
    run.weight_dtype = torch.float32
    try:
        run.config = run.hook.ft_load_config(run=run, folder=path)
        run.hook.ft_load_processor(run=run, folder=path)
        if weights:
            run.hook.ft_load_model(run=run, folder=path, config=run.config, quantization=None)
    except (FtError, OSError, ValueError) as error:
        raise AssertionError(f"what is found at {path} does not load: {error}") from error


def files_below(folder: Path) -> dict[str, bytes]:
    """Path → content of each file."""
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
