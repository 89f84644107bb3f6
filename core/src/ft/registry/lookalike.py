"""Names that are easily taken for another's: typing errors, and names made to deceive."""

from __future__ import annotations

from collections.abc import Iterable

_SAME_LOOK = str.maketrans({"1": "l", "i": "l", "0": "o", "5": "s", "2": "z", "-": None})


def lookalike(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` could be taken for, if there is one.

    Both are normalized names of distributions. Two look alike where they differ in letters that
    look the same (``Iora`` and ``lora``), in hyphens, or by one edit: a letter more, less or
    other, or two swapped.
    """
    others = sorted(known)
    same = [other for other in others if _shape(other) == _shape(name)]
    return next(iter(same or (other for other in others if _one_edit(name, other))), None)


def _shape(name: str) -> str:
    return name.translate(_SAME_LOOK).replace("rn", "m").replace("vv", "w")


def _one_edit(left: str, right: str) -> bool:
    if left == right or abs(len(left) - len(right)) > 1:
        return left == right
    short, long = sorted((left, right), key=len)
    at = next((n for n, letter in enumerate(short) if letter != long[n]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at + 1 : at + 2] + short[at : at + 1] + short[at + 2 :]
    return short[at + 1 :] == long[at + 1 :] or swapped == long[at:]
