"""The schema accepts what the reader accepts, and knows each plugin's options."""

from __future__ import annotations

import pytest
import yaml

from ft.api import Adapter, Field, PluginOptions
from ft.recipe.keys import TOP_KEYS
from ft.recipe.schema import recipe_schema
from ft.recipe.starter import starter, starters


class Inner(PluginOptions):
    depth: int = Field(1, description="how deep")


class Nested(Adapter):
    class Options(PluginOptions):
        title: str = Field("x", description="a field of this name")
        inner: Inner = Field(default_factory=Inner, description="the inner part")


@pytest.fixture
def schema(world):
    world.plugins["adapter:nested"] = Nested()
    return recipe_schema(world.index())


def test_shape(schema):
    assert list(schema["properties"]) == list(TOP_KEYS)
    assert schema["required"] == ["model", "data"]
    named = {
        part["properties"]["name"]["const"]: part
        for part in schema["properties"]["adapter"]["anyOf"]
        if "name" in part.get("properties", ())
    }
    assert set(named) == {"full", "lora", "nested"}
    lora = named["lora"]
    assert lora["additionalProperties"] is False
    assert lora["required"] == ["name"]
    assert lora["properties"]["rank"]["description"] == "inner width of the update"
    assert lora["properties"]["rank"]["exclusiveMinimum"] == 0
    assert named["nested"]["properties"]["title"]["type"] == "string"
    assert "title" not in lora["properties"]["rank"]


def test_every_reference_leads_somewhere(schema):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for child in value.values():
                yield from references(child)
        elif isinstance(value, list):
            for child in value:
                yield from references(child)

    found = set(references(schema))
    assert "#/$defs/adapter.nested.Inner" in found
    assert {ref.removeprefix("#/$defs/") for ref in found} <= set(schema["$defs"])


GOOD = "model: ./tiny\ndata: train.jsonl\nadapter: lora\ntrainer: sft\n"
ACCEPTED = [
    GOOD,
    GOOD + "optimizer: {learning_rate: 0.1}\nquantizer: null\nkernels: [flash]\ntrackers: lines\n",
    "model: {source: x, dtype: float32}\ndata: [a, {path: b, format: alpaca, instruction: q}]\n",
    "model: {source: x, family: cautious, careful: true}\ndata: {path: b, rows: 3}\n",
    GOOD + "eval_split: 0.1\n",
    GOOD + "eval_split: 100\noutput: runs/x\n",
    "model: x\ndata: y\nadapter: {name: nested, inner: {depth: 3}}\n",
]
REFUSED = [
    "model: x\n",
    GOOD + "sead: 3\n",
    "model: x\ndata: y\nadapter: lore\n",
    "model: x\ndata: y\nadapter: {name: lora, rnak: 3}\n",
    "model: x\ndata: y\nadapter: {name: lora, rank: 0}\n",
    "model: x\ndata: {path: y, format: alpaca, text: z}\n",
    "model: {source: x, family: tiny, careful: true}\ndata: y\n",
    "model: x\ndata: y\nadapter: {name: nested, inner: {deep: 3}}\n",
    GOOD + "seed: x\n",
]


@pytest.fixture
def valid(schema):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(valid, text):
    assert valid(yaml.safe_load(text))


@pytest.mark.parametrize("text", REFUSED)
def test_refused(valid, text):
    assert not valid(yaml.safe_load(text))


@pytest.mark.parametrize("name", starters())
def test_starters_are_valid_over_the_installed_plugins(name):
    jsonschema = pytest.importorskip("jsonschema")
    from ft.plugins.index import read_index

    index = read_index()
    recipe = yaml.safe_load(starter(name, {}))
    wanted = [("adapter", "adapter"), ("trainer", "trainer"), ("optimizer", "optimizer")]
    for key, kind in wanted:
        part = recipe[key] if isinstance(recipe[key], str) else recipe[key]["name"]
        if not any(r.id == f"{kind}:{part}" and r.state == "ok" for r in index.records):
            pytest.skip(f"{kind}:{part} is not installed")
    jsonschema.Draft202012Validator(recipe_schema(index)).validate(recipe)
