"""The reference source: a path is the name of a folder."""

from __future__ import annotations

from pathlib import Path

from ft.api import InputError, Run, Source, hookimpl


class Folder(Source):
    """Folders of this machine; a model is one with a configuration in it."""

    @hookimpl
    def ft_resolve_source(self, run: Run, source: str, what: str) -> Path:
        path = Path(source)
        if not path.is_dir():
            raise InputError(f"there is no folder {source}", hint="check the path")
        if what != "data" and not (path / "config.json").is_file():
            raise InputError(
                f"the folder {source} holds no model", hint="give the one with the config.json"
            )
        return path

    def tiny(self, folder: Path) -> str:
        return str(folder)


source = Folder()
