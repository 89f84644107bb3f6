"""Streamed data: every row once an epoch, in an order that a stop does not change."""

import json
from collections import Counter
from itertools import islice

import pytest

from ft.data import stream as streaming
from ft.data.stream import Stream
from ft.errors import InputError

ROWS = [{"q": "q", "a": chr(0x4E00 + n)} for n in range(40)]
OPTIONS = {"steps": 100, "batch_size": 4, "streaming": True}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW", 10)


@pytest.fixture
def make_stream(make_run, part, tmp_path):
    def make(sets=(ROWS,), mix="concat", buffer=15, weights=(1, 1), **options):
        run = make_run(**{**OPTIONS, **options})
        parts = []
        for number, objects in enumerate(sets):
            file = tmp_path / f"{number}.jsonl"
            file.write_text("".join(json.dumps(o) + "\n" for o in objects))
            parts.append(part(run, file, weight=weights[number]))
        return run, Stream(run, parts, mix, buffer)

    return make


def steps(stream, start, stop):
    """The answers that each step trains on."""
    found = []
    for _, items in stream.batches(start, stop):
        rows = [stream[i] for i in items]
        packs = [row if isinstance(row, list) else [row] for row in rows]
        found.append(["".join(chr(d.input_ids[-1]) for d in pack) for pack in packs])
    return found


ANSWERS = [row["a"] for row in ROWS]


def test_an_epoch_has_each_row_once_and_the_next_another_order(make_stream):
    _, stream = make_stream()
    found = [row for step in steps(stream, 0, 20) for row in step]
    assert sorted(found[:40]) == sorted(found[40:]) == ANSWERS
    assert found[:40] != found[40:]
    assert found[:40] != ANSWERS
    assert stream.report.rows == stream.report.kept == 80


def test_the_buffer_bounds_how_far_a_row_moves_up(make_stream):
    _, stream = make_stream(buffer=5)
    found = [row for step in steps(stream, 0, 10) for row in step]
    assert all(ANSWERS.index(row) - place <= 5 for place, row in enumerate(found))
    _, stream = make_stream(shuffle=False)
    assert [row for step in steps(stream, 0, 10) for row in step] == ANSWERS


@pytest.mark.parametrize("options", [{}, {"packing": True, "max_length": 7}], ids=["rows", "packs"])
@pytest.mark.parametrize("stop", [1, 2, 4, 9, 11, 17])
def test_a_stream_goes_on_where_it_was(make_stream, options, stop):
    run, stream = make_stream(**options)
    whole = steps(stream, 0, 25)
    run, stream = make_stream(**options)
    steps(stream, 0, stop)
    position = json.loads(json.dumps(run.state.position))
    run, stream = make_stream(**options)
    run.state.position = position
    assert steps(stream, stop, 25) == whole[stop:]


def test_what_was_seen_is_not_encoded_again(make_stream):
    run, stream = make_stream()
    steps(stream, 0, 8)
    position = run.state.position
    run, stream = make_stream()
    run.state.position = position
    steps(stream, 8, 9)
    assert sum(run.part("trainer").batches) <= 20


def test_packs_hold_every_row_once(make_stream):
    _, stream = make_stream(packing=True, max_length=6)
    packs = [pack for step in steps(stream, 0, 4) for pack in step]
    assert max(map(len, packs)) == 3
    epoch = "".join(packs)[:40]
    assert sorted(epoch) == ANSWERS


def test_sets_are_interleaved_until_one_ends(make_stream):
    few = [{"q": "q", "a": chr(0x5E00 + n)} for n in range(12)]
    _, stream = make_stream((ROWS, few), "interleave-first", buffer=1, shuffle=False)
    epoch = [row[2]["a"] for row in stream._raw(0)]
    assert [a for a in epoch if a >= "\u5e00"] == [row["a"] for row in few]
    assert epoch[-1] == few[-1]["a"]
    assert 4 < sum(a < "\u5e00" for a in epoch) < 30


def test_sets_are_interleaved_until_all_ended(make_stream):
    few = [{"q": "q", "a": chr(0x5E00 + n)} for n in range(12)]
    _, stream = make_stream((ROWS, few), "interleave-last")
    counts = Counter(row[2]["a"] for row in stream._raw(0))
    assert set(counts) == {*ANSWERS, *(row["a"] for row in few)}
    assert max(counts[row["a"]] for row in few) > 1


def test_weights_take_a_share_of_a_set(make_stream):
    _, stream = make_stream(weights=(2.5,))
    counts = Counter(row[2]["a"] for row in stream._raw(0))
    assert set(counts.values()) == {2, 3}


def test_looking_leaves_no_trace(make_stream):
    run, stream = make_stream()
    assert len(list(islice(iter(stream), 7))) == 7
    assert run.state.position == {}
    assert stream.report.rows == 0


def test_a_stream_without_a_row_to_train_on_ends(make_stream):
    _, stream = make_stream(([{"q": "a", "a": ""}],))
    with pytest.raises(InputError, match=r"no row is left.*nothing to train on"):
        steps(stream, 0, 1)


def test_a_stream_needs_steps(make_run):
    with pytest.raises(ValueError, match="streaming needs steps"):
        make_run(streaming=True)
