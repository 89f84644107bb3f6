"""Files and folders of this machine. A GGUF file is turned into a checkpoint folder once."""

from __future__ import annotations

import difflib
from pathlib import Path

from ft.api import InputError, Run, Source, hookimpl
from ft_source_local.gguf import checkpoint_of


class Local(Source):
    """Paths, absolute or from the folder that ft was started in; ``~`` is the home folder."""

    @hookimpl
    def ft_resolve_source(self, run: Run, source: str, what: str) -> Path:
        path = Path(source).expanduser()
        if not path.exists():
            raise InputError(
                "there is no such file or folder", where=str(path.absolute()), hint=_like(path)
            )
        return path if what == "data" else checkpoint_of(path, run.progress)

    def tiny(self, folder: Path) -> str:
        return str(folder)


def _like(path: Path) -> str:
    """What may have been meant: the names beside it that look like it."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    names = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()])
    if names:
        return f"did you mean {' or '.join(str(folder / name) for name in names)}?"
    return "a model of the hub is written org/name, without a path"


source = Local()
