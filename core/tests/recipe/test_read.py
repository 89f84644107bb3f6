"""Reading: what is wrong is said with its file and line, and what to do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ft.errors import InputError
from ft.recipe.read import read_recipe

HEAD = "model: ./tiny\ndata: train.jsonl\n"


def error(world, text):
    path = world.write(text) if isinstance(text, str) else world.folder / "recipe.yaml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    return str(caught.value).replace(f"{world.folder}/", "")


def test_numbers_and_words_are_those_of_yaml_1_2(world):
    text = "model: ./tiny\ndata: no\ntracker: on\n".replace("tracker", "device")
    text += "optimizer: {name: x, a: 2e-4, b: 1_000, c: yes, d: true, e: .inf, f: 0o17, g: 012}\n"
    recipe = read_recipe(world.write(text))
    plain = recipe.root.plain()
    assert plain["device"] == "on"
    assert plain["data"] == [{"path": "no"}]
    optimizer = plain["optimizer"]
    assert optimizer["a"] == 0.0002
    assert isinstance(optimizer["a"], float)
    assert [optimizer[k] for k in "bcd"] == ["1_000", "yes", True]
    assert math.isinf(optimizer["e"])
    assert [optimizer[k] for k in "fg"] == [15, 12]


def test_every_part_gets_its_long_form(world):
    text = HEAD + "kernels: flash\ntrackers: [lines, {name: board}]\nadapter: lora\n"
    plain = read_recipe(world.write(text)).root.plain()
    assert plain["model"] == {"source": "./tiny"}
    assert plain["kernels"] == [{"name": "flash"}]
    assert plain["trackers"] == [{"name": "lines"}, {"name": "board"}]
    assert plain["adapter"] == {"name": "lora"}


def test_places_are_lines(world):
    recipe = read_recipe(world.write(HEAD + "adapter:\n  name: lora\n\n  rank: 3\n"))
    assert recipe.place(("adapter", "rank")) == "recipe.yaml:6"
    assert recipe.place(("adapter", "unset")) == "recipe.yaml:3"
    assert recipe.place(("data", 0, "path")) == "recipe.yaml:2"


CASES = {
    "unknown key": (
        HEAD + "adaptor: lora\n",
        "recipe.yaml:3: adaptor: there is no such key\n  did you mean adapter?",
    ),
    "duplicate": (
        "model: a\ndata: b\nmodel: c\n",
        "recipe.yaml:3: model is written twice\n  the first is at recipe.yaml:1; keep one of them",
    ),
    "nested duplicate": (
        HEAD + "adapter:\n  rank: 1\n  rank: 2\n",
        "recipe.yaml:5: rank is written twice\n  the first is at recipe.yaml:4; keep one of them",
    ),
    "empty": ("# nothing\n", "recipe.yaml: the recipe is empty\n  `ft init` writes one"),
    "list": ("- a\n", "recipe.yaml:1: a recipe is a mapping of keys to values"),
    "not UTF-8": (
        b"model: a\ndata: \xff\n",
        "recipe.yaml:2: byte 0xff is not UTF-8\n  save the file as UTF-8",
    ),
    "syntax": ("model: a\ndata: [b\n", "recipe.yaml:3: not valid YAML: expected ',' or ']'"),
    "tab": ("model:\n\tsource: a\n", "recipe.yaml:2: not valid YAML: found character '\\t'"),
    "control character": ("model: a\ndata: \x07\n", "recipe.yaml:2: character U+0007"),
    "second document": (HEAD + "---\nmodel: b\n", "recipe.yaml:3: not valid YAML: but found"),
    "tag": (HEAD + "seed: !!python/name:os.system x\n", "recipe.yaml:3: the tag tag:yaml.org"),
    "bad integer": (HEAD + "seed: !!int x\n", "recipe.yaml:3: 'x' cannot be read as int"),
    "recursion": (HEAD + "kernels: &a [*a]\n", "recipe.yaml:1: values are nested too deeply"),
    "mapping key": (HEAD + "? {a: b}\n: c\n", "recipe.yaml:3: a key must be a plain word"),
    "undefined alias": (HEAD + "adapter: *a\n", "recipe.yaml:3: not valid YAML: found undefined"),
    "wrong part": (
        HEAD + "adapter: 3\n",
        "recipe.yaml:3: adapter: expected a name or a mapping such as {name: …} (it is 3)",
    ),
    "wrong data": (
        "model: a\ndata: [x, [y]]\n",
        "recipe.yaml:2: data.1: expected a path or a mapping such as {path: …} (it is ['y'])",
    ),
    "source missing": ("model: {family: x}\ndata: b\n", "recipe.yaml:1: model.source: is missing"),
    "quoted number": (
        HEAD + 'seed: "12"\n',
        "recipe.yaml:3: seed: input should be a valid integer (it is '12')",
    ),
    "bad share": (HEAD + "eval_split: 1.5\n", "recipe.yaml:3: eval_split: input should be less"),
    "rows": (
        "model: a\ndata:\n  - path: x\n    rows: -1\n",
        "recipe.yaml:4: data.0.rows: input should be greater than 0 (it is -1)",
    ),
    "choice": (
        "model: a\ndata: {path: x, on_bad_row: ignore}\n",
        "recipe.yaml:2: data.0.on_bad_row: input should be 'error' or 'skip' (it is 'ignore')",
    ),
    "surrogate": ('model: "\\ud800"\n', "recipe.yaml:1: half of a surrogate pair"),
    "escape": ('model: "\\UFFFFFFFF"\n', "recipe.yaml:1: an escape names no character"),
}


@pytest.mark.parametrize("case", CASES)
def test_message(world, case):
    text, message = CASES[case]
    assert error(world, text).startswith(message)


def test_everything_wrong_is_said_at_once(world):
    message = error(world, "model: {}\ndata: x\nsead: 3\ndevice: 3\n")
    assert message == (
        "recipe.yaml:1: model.source: is missing\n"
        "recipe.yaml:3: sead: there is no such key\n  did you mean seed?\n"
        "recipe.yaml:4: device: input should be a valid string (it is 3)"
    )


def test_expanding_aliases_are_stopped(world):
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 100,000 values" in error(world, "\n".join(lines))


def test_missing_file_and_folder(world):
    with pytest.raises(InputError, match=r"the recipe none\.yaml does not exist"):
        read_recipe(Path("none.yaml"))
    with pytest.raises(InputError, match="the recipe tiny is a folder"):
        read_recipe(Path("tiny"))
