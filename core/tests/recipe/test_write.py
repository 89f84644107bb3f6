"""The resolved recipe as YAML resolves to itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft.recipe.document import parse_yaml
from ft.recipe.write import write_resolved, yaml_text

RECIPES = [
    "model: ./tiny\ndata: train.jsonl\nadapter: lora\ntrainer: sft\n",
    "model: ./tiny\ndata: [train.jsonl, {path: train.jsonl, rows: 2, weight: 0.5}]\n"
    "eval_data: train.jsonl\neval_split: 10\ntemplate: {name: other, variables: {a: [1, x]}}\n"
    "adapter: {name: lora, targets: [q, 'no', '2e-4', ': x'], patterns: {a b: 3}}\n"
    "trainer: sft\noptimizer: null\ntrackers: board\nkernels: []\noutput: runs/ünï\n",
]


@pytest.mark.parametrize("text", RECIPES)
def test_round_trip(world, text):
    first = world.resolve(text)
    written = write_resolved(first)
    second = world.resolve(written, name="resolved.yaml")
    assert {key: setting.value for key, setting in first.settings.items()} == {
        key: setting.value for key, setting in second.settings.items()
    }
    assert [(p.name, p.options) for p in first.selection.all()] == [
        (p.name, p.options) for p in second.selection.all()
    ]
    assert (first.data[0].path, first.output) == (second.data[0].path, second.output)


def test_a_resolved_recipe_can_be_moved(world):
    written = write_resolved(world.resolve(RECIPES[0]))
    (world.folder / "runs").mkdir()
    moved = world.resolve(written, name="runs/resolved.yaml")
    assert moved.model_folder == world.folder / "tiny"


def test_origins_are_comments(world):
    lines = write_resolved(world.resolve(RECIPES[0])).splitlines()
    (line,) = [line for line in lines if "rank:" in line]
    assert line == f"{'  rank: 16':<44}  # default of adapter:lora"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_every_value_reads_back(value):
    assert parse_yaml(f"a: {yaml_text(value)}  # x", "x").plain() == {"a": value}
