"""The commands: check, explain, schema, matrix, init."""

from __future__ import annotations

import json

import pytest

from ft.cli.check import check
from ft.cli.explain import explain
from ft.cli.init import init
from ft.cli.matrix import matrix
from ft.cli.schema import schema
from ft.errors import InputError
from ft.recipe.read import read_recipe
from ft.recipe.starter import starter, starters

GOOD = "model: ./tiny\ndata: train.jsonl\nadapter: lora\ntrainer: sft\n"


def unwrapped(text: str) -> str:
    """Text without its line breaks and columns."""
    return "".join(text.split())


def test_check_fits(world, invoke):
    result = invoke(check, world.write(GOOD))
    assert result.exit_code == 0
    assert "  model.family     tiny" in result.stdout
    assert "suggested by trainer:sft" in result.stdout
    assert result.stdout.endswith("fits: ft train recipe.yaml\n")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_check_does_not_fit(world, invoke):
    result = invoke(check, world.write(GOOD), "quantizer=nf4", "adapter=full")
    assert result.exit_code == 2
    assert unwrapped(result.stdout).endswith(
        unwrapped(
            "does not fit:\n"
            "  -  With quantizer:nf4 the run has base weights in a quantized form\n"
            "     (quantized-base), which adapter:full does not accept.\n\n"
            "The nearest recipe that fits has\n  adapter: lora instead of full\n"
            "Try it: ft check recipe.yaml quantizer=nf4 adapter=lora\n"
        )
    )


def test_check_as_json(world, invoke):
    result = invoke(check, world.write(GOOD), "--json", "quantizer=nf4", "adapter=full")
    found = json.loads(result.stdout)
    assert found["fits"] is False
    assert found["misfits"][0]["plugins"] == ["adapter:full", "quantizer:nf4"]
    assert found["nearest"][0]["override"] == "adapter=lora"
    assert found["settings"]["seed"] == {"value": 42, "origin": "default of ft"}


def test_explain_one_value(world, invoke):
    result = invoke(explain, world.write(GOOD), "adapter.rank")
    assert result.stdout == (
        "adapter.rank: 16\n  set by default of adapter:lora\n  inner width of the update\n"
    )
    result = invoke(explain, world.write(GOOD), "adapter.rank", "adapter.rank=3")
    assert result.stdout.startswith("adapter.rank: 3\n  set by the command line\n")


def test_explain_a_part_and_everything(world, invoke):
    result = invoke(explain, world.write(GOOD), "adapter")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        f"adapter.{name}" for name in ("name", "rank", "alpha", "targets", "patterns")
    ]
    result = invoke(explain, world.write(GOOD), "--json")
    found = {item["key"]: item for item in json.loads(result.stdout)}
    assert all(item["description"] for item in found.values())
    assert found["data.0.instruction"]["description"] == "column of the task"
    assert found["trackers.0.name"]["origin"] == "suggested by trainer:sft"


def test_explain_what_the_recipe_does_not_have(world, invoke):
    result = invoke(explain, world.write(GOOD), "quantizer")
    assert result.stdout.startswith("quantizer: null\n  set by nobody: this recipe has none\n")
    result = invoke(explain, world.write(GOOD), "adapter.rnak")
    assert str(result.exception) == (
        "there is no adapter.rnak in this recipe\n  did you mean adapter.rank?"
    )


def test_matrix(world, invoke):
    world.plugins = {
        id: plugin
        for id, plugin in world.plugins.items()
        if id.partition(":")[0] in ("adapter", "quantizer", "trainer")
    }
    assert unwrapped(invoke(matrix).stdout) == unwrapped(
        "adapter × quantizer\n"  # noqa: RUF001
        "        nf4\n"
        "  full  ✗1\n"
        "  lora  ✓\n"
        "  1  With the quantizer the run has base weights in a quantized form\n"
        "     (quantized-base), which the adapter does not accept.\n"
        "\n"
        "trainer × adapter\n"  # noqa: RUF001
        "       full  lora\n"
        "  dpo  ✗1    ✓\n"
        "  sft  ✓     ✓\n"
        "  1  The trainer needs adapter weights that can be switched off and swapped\n"
        "     (switchable-adapter), and no other part of the recipe brings that.\n"
    )


def test_matrix_of_other_kinds(world, invoke):
    (found,) = json.loads(invoke(matrix, "--kinds", "trainer,optimizer", "--json").stdout)
    pairs = {(p["row"], p["column"]): p["reasons"] for p in found["pairs"]}
    assert pairs["sft", "adamw"] == []
    assert "a bound on the gradient norm" in pairs["sft", "muon"][0]
    assert str(invoke(matrix, "--kinds", "trainer,optimiser").exception) == (
        "no part of a recipe is a optimiser\n  did you mean optimizer?"
    )
    late = invoke(matrix, "--only", "adapter:lora").exception
    assert str(late) == "--only, --results and --jobs are about pairs that run\n  add --run"
    assert "--kinds takes two kinds" in str(invoke(matrix, "--kinds", "trainer").exception)
    assert "no usable reward plugin" in invoke(matrix, "--kinds", "reward,trainer").stdout


def test_matrix_fits_80_columns(world, invoke):
    for number in range(12):
        world.plugins[f"quantizer:quantizer-{number}"] = world.plugins["quantizer:nf4"]
    lines = invoke(matrix).stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert sum("full" in line and "✗" in line for line in lines) == 3


def test_schema(world, invoke):
    result = invoke(schema)
    assert json.loads(result.stdout)["properties"]["adapter"]
    result = invoke(schema, "--output", "ft.schema.json")
    assert "yaml-language-server: $schema=ft.schema.json" in result.stdout
    assert json.loads((world.folder / "ft.schema.json").read_text())["$defs"]


def test_init(world, invoke):
    result = invoke(init, "--model", "org/x: y", "--data", "my data.jsonl")
    assert result.exit_code == 0
    assert "ft check recipe.yaml" in result.stdout
    plain = read_recipe(world.folder / "recipe.yaml").root.plain()
    assert plain["model"] == {"source": "org/x: y"}
    assert plain["data"] == [{"path": "my data.jsonl"}]
    assert plain["adapter"]["name"] == "lora"


def test_init_overwrites_nothing(world, invoke):
    world.write("mine")
    result = invoke(init)
    assert isinstance(result.exception, InputError)
    assert result.exception.exit_code == 2
    assert str(result.exception) == (
        "recipe.yaml exists, and ft init overwrites nothing\n  name another file: --output "
        "other.yaml"
    )
    assert (world.folder / "recipe.yaml").read_text() == "mine"


def test_init_knows_its_starters(invoke):
    assert invoke(init, "--list").stdout.startswith("  sft-lora    Teach")
    assert "did you mean sft-full?" in str(invoke(init, "sft-ful").exception)
    assert next(iter(starters())) == "sft-lora"


@pytest.mark.parametrize("name", starters())
def test_starters_read(world, name):
    text = starter(name, {})
    read_recipe(world.write(text))
    assert all(len(line) <= 100 for line in text.splitlines())
