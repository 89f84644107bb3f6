"""``ft data show``: every token of a row, as it is trained."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from ft.api import Encoded, Origin
from ft.cli.data import data
from ft.data.show import origins_of, row_at, show_rows, summary, table
from ft.data.stream import Stream
from ft.errors import InputError

ROW = Encoded([ord(c) for c in "a b\n"], [0, 0, 1, 0.5], origin=Origin("a.jsonl", 3))


def test_tokens_of_a_row(make_run):
    tokens = show_rows(make_run(), ROW)
    assert [t["token"] for t in tokens] == ["a", " ", "b", "\n"]
    assert [t["trained"] for t in tokens] == [False, False, True, True]
    assert tokens[3] == {
        "sequence": "",
        "document": 1,
        "origin": "a.jsonl row 3",
        "position": 3,
        "id": 10,
        "token": "\n",
        "label": 10,
        "trained": True,
        "weight": 0.5,
    }
    assert summary(tokens) == "4 tokens, 2 trained (50%)"
    assert table(tokens) == (
        "pos  id  label  weight  token",
        [
            "  0  97                 a",
            "  1  32                 ·",
            "  2  98     98       1  b",
            "  3  10     10     0.5  ⏎",
        ],
    )


def test_tokens_of_a_pack_say_their_document(make_run):
    tokens = show_rows(make_run(), [ROW, replace(ROW, origin=Origin("b.jsonl", 1))])
    assert origins_of(tokens) == ["document 1: a.jsonl row 3", "document 2: b.jsonl row 1"]
    assert [t["document"] for t in tokens] == [1] * 4 + [2] * 4
    assert [t["position"] for t in tokens] == [0, 1, 2, 3] * 2
    head, lines = table(tokens)
    assert head.split()[:2] == ["doc", "pos"]
    assert [line.split()[:2] for line in lines[3:5]] == [["1", "3"], ["2", "0"]]
    assert summary(tokens) == "8 tokens in 2 documents, 4 trained (50%)"


def test_tokens_of_a_pair_say_their_side(make_run):
    tokens = show_rows(make_run(), {"chosen": ROW, "rejected": ROW, "margin": 1.0})
    assert [t["sequence"] for t in tokens] == ["chosen"] * 4 + ["rejected"] * 4
    assert origins_of(tokens) == ["a.jsonl row 3"]
    assert table(tokens)[1][-1].split() == ["rejected", "3", "10", "10", "0.5", "⏎"]


@pytest.fixture
def show(make_run, monkeypatch):
    run = make_run()
    run.data = [ROW]
    run.eval_data = {"a": [ROW], "b": [Encoded([120, 121], [0, 1])]}
    asked = []

    def read_recipe(path, overrides):
        asked.append((str(path), overrides))
        return "recipe"

    monkeypatch.setattr("ft.recipe.read.read_recipe", read_recipe)
    monkeypatch.setattr("ft.plugins.policy.installed_index", lambda: None)
    monkeypatch.setattr(
        "ft.recipe.resolve.resolve", lambda *_, **__: SimpleNamespace(output="folder")
    )
    monkeypatch.setattr("ft.pipeline.data.prepared_run", lambda *_: (run, []))

    def go(*arguments):
        return CliRunner().invoke(data, ["show", *arguments], catch_exceptions=False)

    go.asked = asked
    return go


def test_command_prints_a_row(show):
    result = show("r.yaml", "trainer.max_length=9", "--row", "1")
    assert result.exit_code == 0
    assert show.asked == [("r.yaml", ("trainer.max_length=9",))]
    lines = result.output.splitlines()
    assert len(lines) == 7
    assert lines[0] == "a.jsonl row 3"
    assert lines[-1] == "4 tokens, 2 trained (50%)"


def test_command_colours_what_is_trained(show):
    from click.testing import CliRunner

    result = CliRunner().invoke(data, ["show", "r.yaml"], color=True)
    green = [line for line in result.output.splitlines() if "\x1b[32m" in line]
    assert len(green) == 2


def test_command_prints_json_of_evaluation_rows(show):
    result = show("r.yaml", "--eval", "--row", "2", "--json")
    assert [t["token"] for t in json.loads(result.output)] == ["x", "y"]


def test_command_refuses_a_row_that_is_not_there(show):
    with pytest.raises(InputError, match="no row 2: the training data has 1"):
        show("r.yaml", "--row", "2")
    assert show("r.yaml", "--row", "0").exit_code == 2


def test_a_row_of_streamed_data_is_read_up_to(make_run, part, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"q": "q", "a": "c" * n}) + "\n" for n in range(1, 6)))
    run = make_run(streaming=True, steps=1, shuffle=False)
    stream = Stream(run, [part(run, file)], "concat", 4)
    assert len(row_at([stream], 3)) == 4
    assert len(row_at([stream], 6)) == 2  # the first row of the second epoch
    assert len(row_at([[ROW], stream], 3)) == 3
