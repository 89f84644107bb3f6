"""Bin packing: rows joined into as few sequences of a fixed length as possible."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], max_length: int) -> list[list[int]]:
    """Put rows into packs of at most ``max_length`` tokens; returns the rows of each pack.

    Best-fit decreasing over the whole set: rows go from the longest to the shortest, each
    into the fullest pack that still has room. It needs at most 11/9 of the fewest packs
    possible, plus one (Johnson, 1973). The same lengths give the same packs; each row is in
    exactly one, and a pack lists its rows in ascending order.

    Raises :class:`ValueError` for a row longer than ``max_length``.
    """
    packs: list[list[int]] = []
    by_room: dict[int, list[int]] = {}  # free tokens -> the packs that have just so many
    rooms: list[int] = []  # the keys of by_room, ascending
    # sorted() is stable, so equal lengths keep their order and the result is reproducible
    for row in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        length = lengths[row]
        if length > max_length:
            raise ValueError(f"row {row} has {length} tokens, and a pack has {max_length}")
        place = bisect_left(rooms, length)
        if place == len(rooms):
            chosen, room = len(packs), max_length
            packs.append([])
        else:
            room = rooms[place]
            chosen = by_room[room].pop()
            if not by_room[room]:
                del by_room[room], rooms[place]
        packs[chosen].append(row)
        left = room - length
        if left not in by_room:
            by_room[left] = []
            insort(rooms, left)
        by_room[left].append(chosen)
    for rows in packs:
        rows.sort()
    return packs
