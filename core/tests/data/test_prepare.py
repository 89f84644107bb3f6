"""Preparation accounts for every row: bad, chosen, dropped, cut, kept."""

import hashlib
import json

import pytest

from ft.data.mix import mixed
from ft.data.prepare import BATCH, align
from ft.data.prepared import prepare_set, rows_of
from ft.data.read import rows
from ft.data.store import Chunk
from ft.errors import InputError, PluginError


def write(path, objects):
    path.write_text("".join(json.dumps(o) + "\n" for o in objects))
    return path


@pytest.fixture
def prepare(make_run, part, tmp_path):
    def go(objects, *, settings=None, **options):
        run = make_run(**options)
        file = write(tmp_path / "a.jsonl", objects)
        one = part(run, file, **(settings or {}))
        made = prepare_set(run, one, tmp_path / "cache")
        count = len(made.rows.table())
        return run, rows_of(run, [made], mixed([count], [one.weight], [one.name], "concat", 42))

    return go


def test_rows_come_out_encoded_in_their_order(prepare, tmp_path):
    run, data = prepare([{"q": "ab", "a": "c"}, {"q": "d", "a": "efg"}])
    assert [bytes(row.input_ids.tolist()) for row in data] == [b"abc", b"defg"]
    assert data.lengths.tolist() == [3, 4]
    assert len(data) == 2
    assert [str(row.origin) for row in data] == [f"{tmp_path / 'a.jsonl'} row {n}" for n in (1, 2)]
    report = data.report.as_dict()
    assert (report["rows"], report["kept"], report["tokens"], report["trained_tokens"]) == (
        (2, 2, 7, 4)
    )
    digest = hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    assert data.report.digest == {"a.jsonl": digest}
    assert data.report.text() == "2 rows, 7 tokens, 4 trained"
    assert run.progress.done == 2
    json.dumps(report)


def test_examples_go_to_the_trainer_in_batches(prepare):
    run, _ = prepare([{"q": "a", "a": "b"}] * (BATCH + 3))
    assert run.part("trainer").batches == [BATCH, 3]


def test_a_bad_row_stops_with_its_place(prepare, tmp_path):
    with pytest.raises(InputError) as caught:
        prepare([{"q": "a", "a": "b"}, {"q": 7, "a": "b"}])
    assert caught.value.where == f"{tmp_path / 'a.jsonl'} row 2"
    assert caught.value.message == "q: is no text"
    assert caught.value.exit_code == 2


def test_bad_rows_can_be_skipped_and_are_counted(prepare):
    bad = [{"q": n, "a": "b"} for n in range(8)]
    run, data = prepare([*bad, {"q": "a", "a": "b"}], settings={"on_bad_row": "skip"})
    assert (data.report.rows, data.report.bad, data.report.kept) == (9, 8, 1)
    assert len(data.report.bad_reasons) == 5
    assert "row 1: q: is no text" in data.report.bad_reasons[0]
    assert "8 of 9 rows are bad" in run.progress.warnings[0]
    assert "8 bad rows skipped" in data.report.text()


def test_a_format_that_breaks_is_named(prepare):
    with pytest.raises(PluginError, match=r"(?s)row 1: plugin dataset:format.*KeyError"):
        prepare([{"q": "a", "break": 1}])


def test_rows_bound_what_is_read_and_weight_what_is_taken(prepare):
    objects = [{"q": "a", "a": str(n)} for n in range(10)]
    run, data = prepare(objects, settings={"rows": 4, "weight": 2.5})
    assert (data.report.rows, data.report.chosen, data.report.kept) == (4, 10, 10)
    # repeated rows are encoded once
    assert run.part("trainer").batches == [4]
    _, again = prepare(objects, settings={"rows": 4, "weight": 2.5})
    assert [r.input_ids for r in again] == [r.input_ids for r in data]


LONG = [{"q": "abc", "a": "defgh"}, {"q": "a", "a": "b"}, {"q": "abcdefg", "a": "h"}]


def test_long_rows_are_dropped_and_counted(prepare):
    _, data = prepare(LONG, max_length=4)
    assert data.lengths.tolist() == [2]
    assert data.report.dropped == {"longer than max_length": 2}


def test_long_rows_are_cut_and_counted(prepare):
    _, data = prepare(LONG, max_length=4, over_length="truncate")
    assert data.lengths.tolist() == [4, 2]
    assert (data.report.truncated, data.report.truncated_answers) == (2, 2)
    assert data.report.dropped == {"nothing to train on left after cutting": 1}
    assert data.report.trained_tokens == 2


def test_long_rows_are_refused(prepare):
    with pytest.raises(InputError, match=r"(?s)row 1: the row has 8 tokens.*over_length"):
        prepare(LONG, max_length=4, over_length="error")


def test_rows_that_train_nothing_are_dropped(prepare):
    _, data = prepare([{"q": "a", "a": ""}, {"q": "a", "a": "b"}])
    assert data.report.dropped == {"nothing to train on": 1}
    # a first token follows nothing
    with pytest.raises(InputError, match=r"(?s)no row is left.*2 dropped \(nothing to train on\)"):
        prepare([{"q": "", "a": "b"}, {"q": "a", "a": ""}])


def test_prompts_have_nothing_to_train_on_and_are_never_cut(prepare):
    _, data = prepare([{"q": "abc"}, {"q": "abcdef"}], max_length=4, over_length="truncate")
    assert data.lengths.tolist() == [3]
    assert data.report.dropped == {"prompt longer than max_length": 1}


def test_pairs_are_as_long_as_their_longer_side(prepare):
    pairs = [{"q": "ab", "a": ["c", "de"]}, {"q": "ab", "a": ["c", "defg"]}]
    _, data = prepare(pairs, max_length=4)
    assert data.lengths.tolist() == [4]
    _, data = prepare([*pairs, {"q": "abc", "a": ["", "x"]}], max_length=5, over_length="truncate")
    assert data.lengths.tolist() == [4, 5, 4]
    assert data[1]["margin"] == 1.5
    _, data = prepare([{"q": "abc", "a": ["d", "e"]}, pairs[0]], max_length=3 + 1)
    assert data.report.kept == 2


def test_a_trainer_gets_only_what_it_takes(make_run, part, tmp_path):
    run = make_run()
    run.part("trainer").takes = (type(None),)
    with pytest.raises(InputError, match="row 1: the row is a Prompt, and trainer teacher"):
        prepare_set(run, part(run, write(tmp_path / "b.jsonl", [{"q": "a"}])), tmp_path / "cache")


def test_a_trainer_must_encode_every_example(prepare):
    with pytest.raises(PluginError, match=r"trainer:teacher: ft_encode made 1 rows of 2"):
        prepare([{"q": "a", "a": "b"}, {"q": "a", "a": "b", "lose": True}])


def test_paths_of_media_count_from_the_data_file(make_run, part, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/1.png").write_bytes(b"")
    run = make_run()
    monkeypatch.chdir("/")
    sources = ["pictures/1.png", "https://host/2.png", "data:image/png;base64,"]
    file = write(tmp_path / "a.jsonl", [{"q": "x", "images": sources}])
    (example,) = align(run, part(run, file), list(rows(file)), Chunk())
    found = [p.source for p in example.messages[0].content]
    assert found == [str(tmp_path / "pictures/1.png"), *sources[1:]]
    write(file, [{"q": "x", "images": ["pictures/9.png"]}])
    with pytest.raises(InputError, match=r"(?s)row 1: image: there is no file pictures/9.png"):
        prepare_set(run, part(run, file), tmp_path / "cache")


def test_split_pieces_predict_every_token_once():
    from ft.api import Encoded, Text
    from ft.data.fit import Fit

    row = Encoded(list(range(10)), [1.0] * 10)
    pieces = Fit(4, "split")(Text("x"), row).rows
    predicted = [token for piece in pieces for token in list(piece.input_ids)[1:]]
    assert predicted == list(range(1, 10))
    assert max(map(len, pieces)) == 4
