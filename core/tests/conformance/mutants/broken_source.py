"""Sources that are broken in one way."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from pathlib import Path

from mutant import mutant

from ft.api import InputError, hookimpl
from ft.conformance.reference.source import Folder


@mutant("source.says-what-is-missing")
class FileIsMissing(Folder):
    """Lets an error of the file system through."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = Path(source)
        list(path.iterdir())
        return path


@mutant("source.says-what-is-missing")
class SaysNothing(Folder):
    """Does not say what was looked for."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        try:
            return super().ft_resolve_source(run, source, what)
        except InputError as error:
            raise InputError("the source could not be resolved") from error


@mutant("source.says-what-is-missing")
class AsksTheNetwork(Folder):
    """Looks elsewhere for what is not here, and lets the client's error through."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        if not Path(source).is_dir():
            socket.create_connection(("models.example.org", 443), timeout=1)
        return super().ft_resolve_source(run, source, what)


@mutant("source.finds-a-model")
class FolderAbove(Folder):
    """Returns the folder that the model's folder lies in."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = super().ft_resolve_source(run, source, what)
        return path if what == "data" else path.parent


@mutant("source.finds-a-model", "source.finds-data")
class AnotherPlaceEachTime(Folder):
    """Unpacks what it finds into a new temporary folder."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = super().ft_resolve_source(run, source, what)
        return shutil.copytree(path, Path(tempfile.mkdtemp()) / "found")


@mutant("source.finds-data")
class ForgetsData(Folder):
    """Answers for models alone, and returns nothing where it should refuse."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = super().ft_resolve_source(run, source, what)
        return None if what == "data" else path


class Cached(Folder):
    """Copies what it finds beside it, once."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = super().ft_resolve_source(run, source, what)
        cache = path.parent / "cache"
        if not cache.exists():
            self.tell(run)
            shutil.copytree(path, cache)
        return cache

    def tell(self, run):
        run.progress.say("copying")


@mutant("source.tells-what-it-fetches")
class FetchesSilently(Cached):
    """Copies without a word."""

    def tell(self, run):
        pass


@mutant("source.tells-what-it-fetches")
class FetchesAgain(Cached):
    """Says that it fetches what it has already."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        self.tell(run)
        return super().ft_resolve_source(run, source, what)


@mutant("source.only-reads")
class TidiesUp(Folder):
    """Rewrites the configuration of the user's folder in another form."""

    @hookimpl
    def ft_resolve_source(self, run, source, what):
        path = super().ft_resolve_source(run, source, what)
        file = path / "config.json"
        if file.is_file():
            file.write_text(json.dumps(json.loads(file.read_text())))
        return path
