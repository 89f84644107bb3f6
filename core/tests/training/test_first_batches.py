"""What a method sees of the data before it trains."""

from __future__ import annotations

import pytest
from harness import Rows, random_rows


class Stream:
    """Rows without an end or a length."""

    def __iter__(self):
        while True:
            yield from random_rows()


def rows_of(kind):
    rows = random_rows()
    if kind == "pairs":
        chosen, rejected = rows[:4], rows[4:]
        pairs = zip(chosen, rejected, strict=True)
        return Rows({"chosen": one, "rejected": other, "margin": 1.0} for one, other in pairs)
    if kind == "packs":
        return Rows([rows[:3], rows[3:8]])
    return Stream() if kind == "stream" else rows


@pytest.mark.parametrize("kind", ["plain", "pairs", "packs", "stream"])
def test_sequences_come_padded_whatever_holds_them(make, kind):
    run = make(rows=rows_of(kind))
    batches = list(run.first_batches(6))
    assert [len(batch["input_ids"]) for batch in batches] == [4, 2]
    known = {tuple(row.input_ids) for row in random_rows()}
    for batch in batches:
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            assert tuple(ids[mask.bool()].tolist()) in known
    again = list(run.first_batches(6))
    assert all(a["input_ids"].equal(b["input_ids"]) for a, b in zip(batches, again, strict=True))


def test_there_are_no_more_than_there_are(make):
    run = make()
    assert sum(len(batch["input_ids"]) for batch in run.first_batches(100)) == 8
    run.data = None
    assert list(run.first_batches(100)) == []
