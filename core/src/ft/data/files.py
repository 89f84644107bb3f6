"""Which files a data source consists of: one file, or those of a folder that form a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ft.errors import InputError

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".txt")
ZIPPED = ".gz"
_ZIPPABLE = (".json", ".jsonl", ".csv", ".tsv", ".txt")
KNOWN = f"{', '.join(SUFFIXES)}; {', '.join(s + ZIPPED for s in _ZIPPABLE)}"

_SHARD = re.compile(r"(.+?)-\d+-of-\d+.*")
_WORD = re.compile(r"[^a-z0-9]+")
_HELD_OUT = frozenset({"test", "validation", "valid", "val", "dev", "eval"})
# what ``datasets`` writes beside the rows
_DESCRIPTIONS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json"})


def suffix(file: Path) -> str | None:
    """The format of a data file (``.jsonl`` of ``a.jsonl.gz``); ``None`` where unknown."""
    name = file.name.lower()
    for known in SUFFIXES:
        if name.endswith(known):
            return known
    for known in _ZIPPABLE:
        if name.endswith(known + ZIPPED):
            return known
    return None


def data_files(path: Path, *, split: str | None = None, subset: str | None = None) -> list[Path]:
    """The files that hold the rows of ``path``, in the order in which they are read.

    Of a folder: all data files below it, sorted; ``.txt`` files only where there are no
    others, since licences and notes are such files too. ``subset`` is a folder in it.
    ``split`` takes the files named so (``train.jsonl``, ``train-00000-of-00002.parquet``) or
    lying in a folder named so. Without it a folder that has a train split gives that one.

    Raises :class:`ft.errors.InputError` where there is no such file, or a choice to make.
    """
    if not path.exists():
        raise InputError("there is no such data file or folder", where=str(path), hint=_near(path))
    if path.is_dir():
        folder = path / subset if subset else path
        if not folder.is_dir():
            raise InputError(
                f"there is no subset {subset}",
                where=str(path),
                hint=f"its folders are: {_listed(p.name for p in path.iterdir() if p.is_dir())}",
            )
        return _choose(folder, _all_files(folder), split)
    if suffix(path) is None:
        raise InputError(
            f"the format of a {path.suffix or 'file without suffix'} is unknown",
            where=str(path),
            hint=f"known are {KNOWN}",
        )
    if subset:
        raise InputError("a file has no subsets", where=str(path), hint=f"remove subset: {subset}")
    if split and suffix(path) != ".json":
        raise InputError(
            "a split is chosen among the files of a folder, and this is one file",
            where=str(path),
            hint=f"remove split: {split}",
        )
    return [path]


def _all_files(folder: Path) -> list[Path]:
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if suffix(file) is not None
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.name not in _DESCRIPTIONS
        and not (file.name == "state.json" and any(file.parent.glob("*.arrow")))
    ]
    files = [f for f in files if suffix(f) != ".txt"] or files
    if not files:
        raise InputError("the folder has no data file", where=str(folder), hint=f"known: {KNOWN}")
    return files


def _choose(folder: Path, files: list[Path], split: str | None) -> list[Path]:
    wanted = split or "train"
    chosen = _of_split(folder, files, wanted)
    if not chosen:
        if split:
            raise InputError(
                f"no file of the split {split}",
                where=str(folder),
                hint=f"its files are named: {_listed(_label(f) for f in files)}",
            )
        return [f for f in files if not _HELD_OUT & _words(folder, f)] or files
    labels = {_label(f) for f in chosen}
    homes = {f.parent.relative_to(folder).as_posix() for f in chosen}
    if len(homes) > 1 and len(labels) == 1 and not any(wanted in h.split("/") for h in homes):
        raise InputError(
            f"the folder has several subsets: {_listed(homes)}",
            where=str(folder),
            hint="say which one: subset: <name>",
        )
    return chosen


def _of_split(folder: Path, files: list[Path], split: str) -> list[Path]:
    """The files of a split: named exactly so, or else with its name among their words."""
    exact = [f for f in files if _label(f) == split or split in f.relative_to(folder).parent.parts]
    if exact:
        return exact
    loose = [f for f in files if split.lower() in _words(folder, f)]
    labels = sorted({_label(f) for f in loose})
    if len(labels) > 1:
        raise InputError(
            f"several splits could be {split}: {_listed(labels)}",
            where=str(folder),
            hint="say which one: split: <name>",
        )
    return loose


def _label(file: Path) -> str:
    """The name of a file without number, count and suffixes: ``train`` of ``train-0-of-2.csv``."""
    name = file.name[: file.name.lower().rindex(suffix(file) or "")]
    shard = _SHARD.fullmatch(name)
    return shard[1] if shard else name


def _words(folder: Path, file: Path) -> frozenset[str]:
    return frozenset(_WORD.split(file.relative_to(folder).as_posix().lower()))


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    known = [p.name for p in path.parent.iterdir() if p.is_dir() or suffix(p)]
    return f"the folder has: {_listed(known)}" if known else f"{path.parent} has no data file"


def _listed(names: Iterable[str], most: int = 8) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "none") + more
