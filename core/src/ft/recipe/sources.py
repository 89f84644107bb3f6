"""From what a recipe calls a source to a path on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ft.api.plugin import Plugin
from ft.api.progress import Progress
from ft.api.run import Run
from ft.errors import InputError, PluginError
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.plugins.selection import Selection
from ft.recipe.problems import did_you_mean

DEFAULT_SCHEME = "hub"
"""The scheme of a source that has none and is no path: ``org/name``."""
FILE_SCHEME = "file"
"""The scheme of a path."""
GROUP = "scheme"

_SCHEME = re.compile(r"([a-z][a-z0-9+-]+):(.+)", re.DOTALL)
# a letter comes first, so that the size in Qwen2.5-0.5B is no suffix
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,10}")


@dataclass(frozen=True, slots=True)
class Located:
    """A source found: ``source`` as it is written from any folder, and the local ``path``."""

    source: str
    path: Path


class Sources:
    """Resolves sources, each through the plugin that claims its scheme.

    ``plugins`` are those that were used, in the order of their first use.
    """

    def __init__(self, index: Index, folder: Path, progress: Progress):
        self._index = index
        self._folder = folder
        self._progress = progress
        self._plugins: dict[str, Plugin] = {}

    @property
    def plugins(self) -> Iterable[Plugin]:
        return self._plugins.values()

    def locate(self, written: str, what: str, place: str, revision: str | None = None) -> Located:
        """Find ``written``, which stands at ``place``; ``what`` is as in the hook.

        A ``revision`` reaches the source plugin as ``name@revision``.
        """
        scheme, rest = split_source(written, self._folder, place)
        if scheme not in self._plugins:
            self._plugins[scheme] = self._load(scheme, written, place)
        plugin = self._plugins[scheme]
        if revision and scheme == FILE_SCHEME:
            raise InputError(
                f"revision {revision}: {written} is a local path, which has no revisions",
                where=place,
                hint="leave revision out",
            )
        asked = f"{rest}@{revision}" if revision else rest
        selection = Selection([plugin])
        run = Run(selection, folder=self._folder, source=written, progress=self._progress)
        try:
            path = selection.call(plugin, "ft_resolve_source", run=run, source=asked, what=what)
        except InputError as error:
            error.where = error.where or place
            raise
        if path is None:
            raise PluginError(
                f"source:{plugin.name}", f"ft_resolve_source found no path for {rest}"
            )
        return Located(rest if scheme == FILE_SCHEME else written, Path(path))

    def _load(self, scheme: str, written: str, place: str) -> Plugin:
        records = self._index.match(GROUP, scheme)
        if len(records) == 1:
            record = records[0]
            return load(record).bind(record.name, distribution=record.distribution)
        if records:
            names = " and ".join(record.name for record in records)
            raise InputError(f"the sources {names} both claim {scheme}:", where=place)
        raise InputError(
            f"no installed source plugin claims {scheme}:, which {written} needs",
            where=place,
            hint="install one that does (ft plugins list --kind source), or name a file or "
            "folder that exists",
        )


def split_source(written: str, folder: Path, place: str) -> tuple[str, str]:
    """The scheme of what stands at ``place`` in a recipe of ``folder``, and what follows it.

    An existing path has :data:`FILE_SCHEME`. Raises :class:`InputError` for a path that is not.
    """
    match = _SCHEME.fullmatch(written)
    scheme, rest = match.groups() if match else (None, written)
    if scheme not in (None, FILE_SCHEME):
        return str(scheme), rest
    path = Path(rest).expanduser()
    tried = dict.fromkeys((folder.resolve() / path, Path.cwd() / path))
    for candidate in tried:
        if candidate.exists():
            return FILE_SCHEME, str(candidate)
    if scheme == FILE_SCHEME or _looks_like_path(rest):
        raise InputError(f"{rest} does not exist", where=place, hint=_nearby(path, tried))
    return DEFAULT_SCHEME, rest


def _looks_like_path(text: str) -> bool:
    return (
        text.startswith((".", "/", "~"))
        or text.count("/") > 1
        or _SUFFIX.fullmatch(Path(text).suffix) is not None
    )


def _nearby(path: Path, tried: Iterable[Path]) -> str:
    """A hint: a file with a like name, or the folders that were looked in."""
    for candidate in tried:
        if candidate.parent.is_dir():
            names = [entry.name for entry in candidate.parent.iterdir()]
            hint = did_you_mean(path.name, names)
            if hint.startswith("did you mean"):
                return f"{hint} (in {candidate.parent})"
    return f"looked in {' and '.join(str(candidate.parent) for candidate in tried)}"
