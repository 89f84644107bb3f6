"""Overrides from the command line."""

from __future__ import annotations

import pytest

from ft.errors import InputError
from ft.recipe.read import read_recipe

TEXT = "model: ./tiny\ndata: train.jsonl\nadapter: {name: lora, rank: 4}\ntrainer: sft\n"


def plain(world, *overrides):
    return read_recipe(world.write(TEXT), overrides).root.plain()


def test_options_entries_and_parts(world):
    changed = plain(
        world,
        "adapter.rank=32",
        "data.0.rows=10",
        "trainer.packing=true",
        "trackers=[a, {name: b}]",
    )
    assert changed["adapter"] == {"name": "lora", "rank": 32}
    assert changed["data"] == [{"path": "train.jsonl", "rows": 10}]
    assert changed["trainer"] == {"name": "sft", "packing": True}
    assert changed["trackers"] == [{"name": "a"}, {"name": "b"}]


def test_a_whole_part_is_replaced_and_a_name_keeps_the_options(world):
    assert plain(world, "adapter=dora")["adapter"] == {"name": "dora"}
    assert plain(world, "adapter.name=dora")["adapter"] == {"name": "dora", "rank": 4}
    assert plain(world, "adapter=")["adapter"] is None


def test_later_overrides_see_earlier_ones(world):
    assert plain(world, "data=a.json", "data.0.rows=2")["data"] == [{"path": "a.json", "rows": 2}]


def test_what_the_recipe_lacks_can_be_set(world):
    assert plain(world, "optimizer.learning_rate=2e-4")["optimizer"] == {"learning_rate": 2e-4}
    assert plain(world, "template.variables.x=1")["template"] == {"variables": {"x": 1}}


def test_place_is_the_command_line(world):
    recipe = read_recipe(world.write(TEXT), ["adapter.rank=32"])
    assert recipe.place(("adapter", "rank")) == "the command line"
    assert recipe.place(("adapter", "name")) == "recipe.yaml:3"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "adapter.rank",
            "'adapter.rank' is no override\n  write key=value, such as adapter.rank=32",
        ),
        (
            "adaptor.rank=3",
            "the command line: adaptor.rank=3: there is no adaptor in a recipe\n"
            "  did you mean adapter?",
        ),
        (
            "data.rows=3",
            "the command line: data.rows=3: data is a list of 1 entry, counted from 0, so "
            "data.rows leads nowhere\n  name an entry: data.0…",
        ),
        (
            "data.4.rows=3",
            "the command line: data.4.rows=3: data is a list of 1 entry, counted from 0, so "
            "data.4.rows leads nowhere\n  name an entry: data.0…",
        ),
        (
            "adapter.rank.x=3",
            "the command line: adapter.rank.x=3: adapter.rank is a single value, so "
            "adapter.rank.x leads nowhere\n  set it whole: adapter.rank=…",
        ),
        (
            "kernels.0=flash",
            "the command line: kernels.0=flash: kernels is not in the recipe, so kernels.0 leads "
            "nowhere\n  set it whole: kernels=…",
        ),
        ("seed=[1", "the command line: not valid YAML"),
        ("seed=x", "the command line: seed: input should be a valid integer (it is 'x')"),
    ],
)
def test_message(world, override, message):
    with pytest.raises(InputError) as caught:
        plain(world, override)
    assert str(caught.value).startswith(message)
