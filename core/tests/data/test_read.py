"""Reading rows: every format, every kind of damage, and the choice of files in a folder."""

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ft.data.files import data_files
from ft.data.json_values import JsonText, list_values
from ft.data.read import first_row, rows
from ft.errors import InputError

ROWS = [{"a": "x", "b": "1"}, {"a": 'quo"te, é', "b": "2"}, {"a": "line\nbreak", "b": "3"}]


def jsonl(objects) -> str:
    return "".join(json.dumps(o) + "\n" for o in objects)


def write(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_arrow(path, kind) -> None:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, kind(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", jsonl(ROWS)),
        ("a.jsonl.gz", jsonl(ROWS)),
        ("a.jsonl", "\ufeff" + jsonl(ROWS)),
        ("a.json", json.dumps(ROWS)),
        ("a.json", json.dumps(ROWS, indent=2, ensure_ascii=False)),
        ("a.json", json.dumps({"version": 1, "data": ROWS})),
        ("a.json", jsonl(ROWS)),
        ("A.JSON.gz", json.dumps(ROWS)),
        ("a.csv", 'a,b\nx,1\n"quo""te, é",2\n"line\nbreak",3\n'),
        ("a.tsv", 'a\tb\r\nx\t1\r\n"quo""te, é"\t2\r\n"line\nbreak"\t3\r\n'),
        ("a.csv.gz", 'a,b\nx,1\n"quo""te, é",2\n"line\nbreak",3\n'),
    ],
)
def test_text_formats(tmp_path, name, content):
    file = tmp_path / name
    write(file, content)
    read = list(rows(file))
    assert [row for _, row in read] == ROWS
    assert [origin.row for origin, _ in read] == [1, 2, 3]
    assert {origin.file for origin, _ in read} == {str(file)}
    assert first_row(file) == ROWS[0]


def test_column_formats(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet", row_group_size=2)
    write_arrow(tmp_path / "file.arrow", pa.ipc.new_file)
    write_arrow(tmp_path / "stream.arrow", pa.ipc.new_stream)
    for name in ("a.parquet", "file.arrow", "stream.arrow"):
        assert [row for _, row in rows(tmp_path / name)] == ROWS


def test_lines_count_as_rows_where_blank_lines_have_none(tmp_path):
    write(tmp_path / "a.txt", "one\n\n  \r\ntwo\r\n")
    assert [(o.row, r["text"]) for o, r in rows(tmp_path / "a.txt")] == [(1, "one"), (4, "two")]
    write(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": 2}')
    assert [(o.row, r["a"]) for o, r in rows(tmp_path / "a.jsonl")] == [(1, 1), (3, 2)]


@pytest.mark.parametrize(
    ("name", "content", "where", "what"),
    [
        ("a.jsonl", "", "a.jsonl", "no row"),
        ("a.json", "[]", "a.json", "no row"),
        ("a.json", " \n", "a.json", "no row"),
        ("a.txt", "\n \n", "a.txt", "no row"),
        ("a.csv", "a,b\n", "a.csv", "no row"),
        ("a.jsonl", '{"a": 1}\n{"a": ', "a.jsonl row 2", "cut off"),
        ("a.jsonl", '{"a": 1}\n{"a": }\n', "a.jsonl row 2", "column 7"),
        ("a.jsonl", "[1]\n", "a.jsonl row 1", "a list"),
        ("a.jsonl", '{"a": "\\ud83d"}\n', "a.jsonl row 1", "half of a character"),
        ("a.json", '[{"a": 1}, 7]', "a.json row 2", "a number"),
        ("a.json", '[{"a": 1},\n {"a": "tex', "a.json row 2", "cut off"),
        ("a.json", '[{"a": 1},\n {"a": 2}', "a.json row 2", "cut off"),
        ("a.json", '[{"a": 1},\n', "a.json row 2", "cut off"),
        ("a.json", '[{"a": 1},\n {"b" 2}]', "a.json row 2", "line 2, column 7"),
        ("a.json", '[{"a": 1},]', "a.json row 2", "comma"),
        ("a.json", '[{"a": 1} {"a": 2}]', "a.json row 1", "no comma"),
        ("a.json", '[{"a": 1}] x', "a.json row 1", "more text"),
        ("a.json", '"text"', "a.json", "neither a list"),
        ("a.json", '{"a": 1}', "a.json", "0 lists of rows"),
        ("a.json", '{"x": [{"a": 1}], "y": [{"a": 1}]}', "a.json", "split: <key>"),
        ("a.json", '[{"a": "\\ud83d"}]', "a.json row 1", "half of a character"),
        ("a.json", "[" * 100_000, "a.json row 1", "nested"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n', "a.jsonl line 2", "byte 8 of the line (0xe9)"),
        ("a.csv", "a,b\n1,2\n1\n", "a.csv row 2", "1 values for 2 columns (line 3)"),
        ("a.csv", 'a,b\n1,"2\n', "a.csv row 1", "line 2"),
        ("a.csv", "a,a\n1,2\n", "a.csv line 1", "twice"),
        ("a.xlsx", "?", "a.xlsx", ".parquet"),
        ("a.parquet", "PAR1 nonsense", "a.parquet", "damaged"),
        ("a.arrow", "nonsense", "a.arrow", "damaged"),
        ("a.arrow", "", "a.arrow", "damaged"),
    ],
)
def test_damage_names_file_and_row(tmp_path, name, content, where, what):
    write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        list(rows(tmp_path / name))
    assert caught.value.where == str(tmp_path / where)
    assert what in str(caught.value)
    assert caught.value.hint


def test_damaged_files_of_columns_and_archives(tmp_path):
    pq.write_table(pa.Table.from_pylist(ROWS * 100), tmp_path / "a.parquet")
    write_arrow(tmp_path / "s.arrow", pa.ipc.new_stream)
    write(tmp_path / "a.jsonl.gz", jsonl({"a": i * 7919 % 1000} for i in range(5000)))
    for name in ("a.parquet", "s.arrow", "a.jsonl.gz"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="cannot be read after"):
            list(rows(tmp_path / name))


def test_missing_file_lists_its_neighbours(tmp_path):
    write(tmp_path / "identity.json", "[]")
    with pytest.raises(InputError, match=r"identity\.json"):
        list(rows(tmp_path / "identiy.json"))


def test_errors_come_after_the_rows_before_them(tmp_path):
    write(tmp_path / "a.json", '[{"a": 1}, {"a": 2}, {"a"')
    reader = rows(tmp_path / "a.json")
    assert [next(reader)[1]["a"], next(reader)[1]["a"]] == [1, 2]
    with pytest.raises(InputError):
        next(reader)


def test_split_of_an_object_of_lists(tmp_path):
    write(tmp_path / "a.json", '{"train": [{"a": 1}], "test": [{"a": 2}]}')
    assert first_row(tmp_path / "a.json", split="test") == {"a": 2}


@pytest.mark.parametrize(
    ("files", "choice", "expected"),
    [
        (["b.jsonl", "a.json", "notes.txt", "README.md"], {}, ["a.json", "b.jsonl"]),
        (["a.txt", "b.txt"], {}, ["a.txt", "b.txt"]),
        (["train.jsonl", "test.jsonl"], {}, ["train.jsonl"]),
        (["train.jsonl", "test.jsonl"], {"split": "test"}, ["test.jsonl"]),
        (["data.jsonl", "dev.jsonl"], {}, ["data.jsonl"]),
        (["my_train.csv", "my_test.csv"], {"split": "test"}, ["my_test.csv"]),
        (["data/train/x.json", "data/test/x.json"], {}, ["data/train/x.json"]),
        (
            [
                "data/train-00000-of-00002.parquet",
                "data/train-00001-of-00002.parquet",
                "data/train_gen-00000-of-00001.parquet",
                "data/test-00000-of-00001.parquet",
            ],
            {},
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
        ),
        (
            [
                "train/data-00000-of-00001.arrow",
                "train/state.json",
                "train/dataset_info.json",
                "test/data-00000-of-00001.arrow",
                "dataset_dict.json",
                ".cache/x.json",
            ],
            {},
            ["train/data-00000-of-00001.arrow"],
        ),
        (
            ["main/train-0-of-1.parquet", "socratic/train-0-of-1.parquet"],
            {"subset": "socratic"},
            ["socratic/train-0-of-1.parquet"],
        ),
    ],
)
def test_files_of_a_folder(tmp_path, files, choice, expected):
    for file in files:
        write(tmp_path / file, "x")
    found = data_files(tmp_path, **choice)
    assert [f.relative_to(tmp_path).as_posix() for f in found] == expected


@pytest.mark.parametrize(
    ("files", "choice", "what"),
    [
        (["main/train-0-of-1.csv", "socratic/train-0-of-1.csv"], {}, "main, socratic"),
        (["a/test-0-of-1.csv", "b/test-0-of-1.csv"], {"split": "test"}, "several subsets: a, b"),
        (["train_sft.jsonl", "train_gen.jsonl"], {}, "train_gen, train_sft"),
        (["train.jsonl"], {"split": "test"}, "no file of the split test"),
        (["train.jsonl"], {"subset": "en"}, "no subset en"),
        (["README.md"], {}, "no data file"),
    ],
)
def test_choices_that_a_folder_leaves_open(tmp_path, files, choice, what):
    for file in files:
        write(tmp_path / file, "x")
    with pytest.raises(InputError, match=what):
        data_files(tmp_path, **choice)


def test_a_file_has_neither_split_nor_subset(tmp_path):
    write(tmp_path / "a.jsonl", "{}")
    for choice in ({"split": "train"}, {"subset": "en"}):
        with pytest.raises(InputError, match="remove"):
            data_files(tmp_path / "a.jsonl", **choice)


class TestJsonInBlocks:
    """A file is read in blocks of a few bytes: every value and every error is as in one block."""

    ROWS = [{"a": "é東🎉" * n, "b": [n, -1.5e3, True, None, {"c\n": '"]}, {\\'}]} for n in range(8)]

    @pytest.fixture(params=[1, 2, 3, 7, 50])
    def block(self, request, monkeypatch):
        monkeypatch.setattr("ft.data.json_values.BLOCK", request.param)

    @pytest.mark.parametrize("settings", [{}, {"indent": 1}, {"ensure_ascii": False}], ids=str)
    def test_values(self, tmp_path, block, settings):
        for text in (
            "\ufeff " + json.dumps(self.ROWS, **settings) + " \n",
            "\n".join(json.dumps(row, **settings) for row in self.ROWS),
            json.dumps({"data": self.ROWS}, **settings),
        ):
            write(tmp_path / "a.json", text)
            read = list(rows(tmp_path / "a.json"))
            assert [row for _, row in read] == self.ROWS
            assert [origin.row for origin, _ in read] == list(range(1, 9))

    def test_every_error_has_the_place_that_it_has_in_one_block(self, tmp_path, monkeypatch):
        good = json.dumps(self.ROWS, indent=1, ensure_ascii=False).encode()
        draw = random.Random(1)
        refused = 0
        for _ in range(150):
            at = draw.randrange(1, len(good))
            bad = draw.choice(
                [
                    good[:at],
                    good[:at] + b"]" + good[at:],
                    good[:at] + draw.choice([b",", b'"', b"x", b"\xff"]) + good[at + 1 :],
                ]
            )
            write(tmp_path / "a.json", bad)
            found = []
            for size in (1 << 20, 5, 64):
                monkeypatch.setattr("ft.data.json_values.BLOCK", size)
                try:
                    found.append(list(rows(tmp_path / "a.json")))
                except InputError as error:
                    found.append((error.message, error.where, error.hint))
            assert found[0] == found[1] == found[2], bad
            refused += isinstance(found[0], tuple)
        assert refused > 75

    def test_little_of_a_file_is_held(self, tmp_path, monkeypatch):
        monkeypatch.setattr("ft.data.json_values.BLOCK", 1000)
        write(tmp_path / "a.json", json.dumps([{"a": "x" * 50, "n": n} for n in range(5000)]))
        with (tmp_path / "a.json").open("rb") as stream:
            source = JsonText(stream, tmp_path / "a.json")
            longest = 0
            for _ in list_values(source, source.after_space(0) + 1):
                longest = max(longest, len(source.text))
        assert len(list(rows(tmp_path / "a.json"))) == 5000
        assert longest < 5000
