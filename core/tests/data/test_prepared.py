"""Prepared data: what is stored is what was encoded, and nothing is encoded twice."""

import json
import pickle
import random
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ft.api import Conversation, Encoded, Message, Origin
from ft.data import cache as kept
from ft.data import prepare as preparing
from ft.data.fit import Fit
from ft.data.prepared import prepare_set, rows_of
from ft.data.store import Chunk, Kept, Store, write_chunk
from ft.errors import InputError
from ft.pipeline.data import cache_folder

ROWS = [{"q": "q" + "ab" * (n % 3), "a": "c" * (n + 1)} for n in range(20)]


@pytest.fixture
def chunks_of_three(monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK", 3)


@pytest.fixture
def world(make_run, part, tmp_path):
    """A data file; ``go`` prepares it in a run with these options."""

    class World:
        file = tmp_path / "rows.jsonl"

        def write(self, objects):
            self.file.write_text("".join(json.dumps(o) + "\n" for o in objects))

        def go(self, seed=42, settings=None, **options):
            self.run = make_run(**options)
            self.run.seed = seed
            return prepare_set(
                self.run, part(self.run, self.file, **(settings or {})), cache_folder()
            )

        @property
        def encoded(self):
            return sum(self.run.part("trainer").batches)

    world = World()
    world.write(ROWS)
    return world


def texts(made):
    return ["".join(map(chr, row.input_ids)) for row in made.rows]


def test_what_was_prepared_is_read(world):
    made, again = world.go(), world.go()
    assert (made.made, again.made) == (True, False)
    assert world.encoded == 0
    assert isinstance(again.rows, Store)
    assert texts(again) == texts(made) == [row["q"] + row["a"] for row in ROWS]
    assert [row.weights.tolist() for row in again.rows] == [
        [0.0] * len(row["q"]) + [1.0] * len(row["a"]) for row in ROWS
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"max_length": 100},
        {"over_length": "truncate"},
        {"settings": {"rows": 5}},
        {"settings": {"on_bad_row": "skip"}},
        {"seed": 1},
    ],
    ids=str,
)
def test_what_changes_rows_is_encoded_again(world, change):
    world.go()
    assert world.go(**change).made
    assert world.encoded > 0


@pytest.mark.parametrize("option", [{"epochs": 3}, {"batch_size": 2}, {"shuffle": False}], ids=str)
def test_options_of_training_alone_encode_nothing_again(world, option):
    world.go()
    assert not world.go(**option).made


def test_another_file_content_is_encoded(world):
    world.go()
    world.write([*ROWS[:-1], {"q": "other", "a": "text"}])
    made = world.go()
    assert made.made
    assert texts(made)[-1] == "othertext"


def test_another_tokenizer_encodes_again(world):
    world.go()
    (world.run.model_folder / "tokenizer.json").write_text("{}")
    assert world.go().made
    (world.run.model_folder / "model.safetensors").write_bytes(b"weights change nothing")
    assert not world.go().made


def test_what_was_stopped_is_gone_on_with(world, chunks_of_three, monkeypatch):
    world.write([*ROWS, {"q": 7, "a": "bad"}])
    with pytest.raises(InputError, match="row 21"):
        world.go()
    assert world.encoded == 18
    whole = preparing.align

    def mended(run, part, raw, chunk):
        return whole(run, part, [(o, r) for o, r in raw if r["q"] != 7], chunk)

    monkeypatch.setattr("ft.data.prepare.align", mended)
    made = world.go()
    assert world.encoded == 2
    assert texts(made) == [row["q"] + row["a"] for row in ROWS]


def test_a_chunk_that_was_cut_off_is_made_again(world, chunks_of_three):
    made = world.go()
    file = kept.chunk_file(made.folder, 2)
    file.write_bytes(file.read_bytes()[:-4])
    again = world.go()
    assert world.encoded == 3
    assert texts(again) == texts(made)


def test_rows_with_media_stay_in_memory(world, monkeypatch):
    def encode(self, example):
        return Encoded([1, 2], [0, 1], media={"pixels": np.ones((1, 2))})

    world.go()
    teacher = type(world.run.part("trainer"))
    monkeypatch.setattr(teacher, "_encode", encode)
    world.write(ROWS[:4])
    made = world.go()
    assert isinstance(made.rows, Kept)
    assert made.folder is None
    assert made.rows[3].media["pixels"].shape == (1, 2)
    assert world.go().made


def test_pairs_and_numbers_come_back(world):
    world.write([{"q": "ab", "a": ["c", "defg"]}, {"q": "x", "a": ["yz", "y"]}])
    made = world.go()
    rows = list(world.go().rows)
    assert isinstance(made.rows, Store)
    assert [{k: len(v) for k, v in row.items() if k != "margin"} for row in rows] == [
        {"chosen": 3, "rejected": 6},
        {"chosen": 3, "rejected": 2},
    ]
    assert rows[0]["margin"] == 1.5
    assert made.rows.lengths.tolist() == [6, 3]


def test_any_weights_and_columns_come_back(tmp_path):
    draw = random.Random(1)
    rows = []
    for _ in range(50):
        size = draw.randint(1, 9)
        weights = draw.choices([0.0, 0.5, 1.0, 1.0], k=size)
        columns = {"token_type_ids": draw.choices([0, 1], k=size)}
        rows.append(Encoded(draw.choices(range(70000), k=size), [*weights, 1.0][:size], columns))
    fits = Fit(100, "drop")
    message = Conversation([Message("assistant", "")])
    chunk = Chunk(
        fitted=[fits(message, row) for row in rows],
        origins=[Origin("a.jsonl", n) for n in range(50)],
    )
    write_chunk(chunk, tmp_path / "000000.safetensors")
    left = [row for one in chunk.fitted for row in one.rows]
    assert 20 < len(left) < 50
    found = list(Store([tmp_path / "000000.safetensors"]))
    assert [list(row.input_ids) for row in found] == [list(row.input_ids) for row in left]
    assert [list(row.weights) for row in found] == [list(row.weights) for row in left]
    assert [[*row.per_token["token_type_ids"]] for row in found] == [
        row.per_token["token_type_ids"] for row in left
    ]


def test_split_rows_count_as_several(make_run, world):
    made = world.go(max_length=8, over_length="split")
    rows = rows_of(world.run, [made], np.array([19, 0]))
    assert rows.lengths.max() <= 8
    assert len(rows) == rows.report.kept > 2
    assert rows[0].origin.row == 20
    assert rows.report.chosen == 2
    assert rows.report.split > 0 == rows.report.truncated
    assert f"{rows.report.split} longer ones cut into several rows" in rows.report.text()


def test_generators_are_where_they_were(world):
    states = []
    for _ in range(2):
        random.seed(5)
        np.random.seed(5)
        world.go()
        states.append((random.random(), np.random.random()))
    assert states[0] == states[1]


def test_random_encoding_comes_out_the_same_chunk_by_chunk(world, chunks_of_three, monkeypatch):
    world.go()
    teacher = type(world.run.part("trainer"))

    def encode(self, example):
        return Encoded([random.randrange(9) for _ in range(5)], [1.0] * 5)

    monkeypatch.setattr(teacher, "_encode", encode)
    kept.clear(cache_folder())
    first = texts(world.go())
    kept.chunk_file(world.go().folder, 3).unlink()
    assert texts(world.go()) == first


def test_one_process_prepares_and_others_wait(world, tmp_path):
    made = world.go()
    folder = tmp_path / "cache" / "data" / "other"
    told = []
    entered = threading.Event()
    left = []

    def work():
        with kept.alone(folder, first=True, waiting=lambda: None):
            entered.set()
            time.sleep(0.6)
            left.append(time.monotonic())

    worker = threading.Thread(target=work)
    worker.start()
    entered.wait()
    with kept.alone(folder, first=True, waiting=lambda: told.append(1)):
        assert left
    worker.join()
    assert told == [1]
    assert made.folder.is_dir()


def test_what_a_killed_process_held_is_free_again(world, tmp_path):
    folder = tmp_path / "cache" / "data" / "killed"
    program = (
        "import sys, time; from pathlib import Path; from ft.data import cache\n"
        "with cache.alone(Path(sys.argv[1]), first=True, waiting=print):\n"
        "    print('in', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        process.kill()
    with kept.alone(folder, first=True, waiting=lambda: pytest.fail("nobody is at work")):
        pass


def test_a_cache_that_cannot_be_written_keeps_rows_in_memory(world, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "file"))
    made = world.go()
    assert isinstance(made.rows, Kept)
    assert texts(made) == [row["q"] + row["a"] for row in ROWS]
    assert "cannot be used" in world.run.progress.warnings[0]


def test_the_cache_is_measured_and_cleared(world):
    world.go()
    ((folder, size),) = kept.sizes(cache_folder()).items()
    assert size > 1000
    assert kept.clear(cache_folder()) == size
    assert kept.sizes(cache_folder()) == {}
    assert not folder.exists()


def test_workers_write_what_one_process_writes(world, chunks_of_three, monkeypatch, tmp_path):
    # a real tokenizer and installed plugins, which other processes can import
    from ft.conformance.bench import tiny_run
    from ft.conformance.subject import Subject
    from ft.data import prepared
    from ft.recipe.resolved import DataPart

    pytest.importorskip("ft_trainer_sft")
    from ft_dataset_messages import dataset
    from ft_trainer_sft import trainer

    run = tiny_run(Subject(trainer, "sft", tmp_path / "run"))
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    world.write(
        [{"messages": [*turns, {**turns[1], "content": f"{n} " * n}]} for n in range(1, 31)]
    )
    part = DataPart("rows.jsonl", world.file, dataset.bind("messages"), "rows")
    run.selection = type(run.selection)(
        [*run.selection.all(), part.dataset], run.selection.defaults
    )
    monkeypatch.setattr(prepared, "SERIAL", 2)
    contents = []
    for count in (1, 2):
        kept.clear(cache_folder())
        monkeypatch.setattr(prepared, "worker_count", lambda count=count: count)
        made = prepare_set(run, part, cache_folder())
        assert made.made
        contents.append([file.read_bytes() for file in sorted(made.folder.glob("*.safetensors"))])
    assert len(contents[0]) == 10
    assert contents[0] == contents[1]
    with world.file.open("a") as file:
        file.write('{"messages": 7}\n')
    with pytest.raises(InputError, match="row 31: messages"):
        prepare_set(run, part, cache_folder())


def test_a_worker_imports_nothing_that_is_refused_here(world, capfd):
    from ft.data.workers import _start
    from ft.plugins import guard

    dataset = pytest.importorskip("ft_dataset_messages").dataset
    before = guard.state()
    guard.restore({**before, "refused": {"ft_dataset_messages": "a test denies it"}})
    try:
        worker = _start(pickle.dumps(dataset))
    finally:
        guard.restore(before)
    worker.communicate(timeout=60)
    assert worker.returncode
    assert "ft_dataset_messages is imported" in (said := capfd.readouterr().err)
    assert "a test denies it" in said
