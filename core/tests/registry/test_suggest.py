"""What a checkpoint, data or a recipe needs, of what is installed or listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ft.errors import InputError
from ft.plugins.index import read_index
from ft.registry.read import read_registries
from ft.registry.search import Catalogue
from ft.registry.suggest import Need, missing, suggest


def listed(kind: str, name: str, **matches: list[str]) -> dict:
    plugin = {"kind": kind, "name": name, "matches": matches}
    return {"distribution": f"ft-{kind}-{name}", "plugins": [plugin]}


LISTED = [
    listed("model", "net", model_type=["net"], checkpoint=["acme/net-*"]),
    listed("model", "tuned", checkpoint=["acme/tuned"]),
    listed("dataset", "pairs", columns=["q+a"]),
    listed("adapter", "dora"),
    listed("tracker", "wall"),
    listed("source", "hub", scheme=["hub"]),
]


@pytest.fixture
def needs(site):
    """Suggests for a path; returns the needs as text → distributions, and the needs."""
    site.add("ft-model-auto", {"model:auto": "m:f"}, "", match={"model_type *": "m:f"})
    site.add("ft-source-local", {"source:local": "s:f"}, "", match={"scheme file": "s:f"})
    site.adapter("lora")
    site.registry("ft-registry", {"first-party.json": json.dumps(LISTED)})
    path = [str(site.path)]

    def run(name: str) -> tuple[dict[str, list[str]], list[Need]]:
        found = suggest(Path(name), Catalogue(read_index(path), read_registries(path)))
        return {n.what: [k.record.distribution for k in n.plugins] for n in found}, found

    return run


def checkpoint(**config) -> None:
    Path("checkpoint").mkdir()
    Path("checkpoint/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("config", "what", "wanted"),
    [
        ({"model_type": "net"}, "model_type net", ["ft-model-net"]),
        (
            {"model_type": "net", "_name_or_path": "acme/tuned"},
            "checkpoint acme/tuned",
            ["ft-model-tuned"],
        ),
        ({"model_type": "strange"}, "model_type strange", []),
        ({}, "model_type *", []),
    ],
)
def test_of_a_checkpoint(needs, config, what, wanted) -> None:
    checkpoint(**config)
    texts, found = needs("checkpoint")
    assert texts == {what: wanted or ["ft-model-auto"]}
    assert missing(found) == wanted
    assert found[0].place == str(Path("checkpoint/config.json"))


def test_of_data(needs) -> None:
    Path("rows.jsonl").write_text('{"q": 1, "a": 2}\n')
    texts, found = needs("rows.jsonl")
    assert texts == {"columns q, a": ["ft-dataset-pairs"]}
    assert missing(found) == ["ft-dataset-pairs"]
    Path("rows.jsonl").write_text('{"b": 1}\n')
    texts, found = needs("rows.jsonl")
    assert (texts, missing(found)) == ({"columns b": []}, [])


def test_of_a_recipe(needs) -> None:
    checkpoint(model_type="net")
    Path("rows.jsonl").write_text('{"q": 1, "a": 2}\n')
    Path("recipe.yaml").write_text(
        "model: ./checkpoint\n"
        "data: [rows.jsonl, {path: acme/rows, format: pairs}]\n"
        "adapter: {name: dora, rank: 4}\n"
        "trackers: [wall]\n"
        "kernels: null\n"
    )
    texts, found = needs("recipe.yaml")
    assert texts == {
        "source file:": ["ft-source-local"],
        "model_type net": ["ft-model-net"],
        "columns q, a": ["ft-dataset-pairs"],
        "source hub:": ["ft-source-hub"],
        "dataset:pairs": ["ft-dataset-pairs"],
        "adapter:dora": ["ft-adapter-dora"],
        "tracker:wall": ["ft-tracker-wall"],
    }
    assert [need.place for need in found if need.what == "adapter:dora"] == ["recipe.yaml:3"]
    assert set(missing(found)) == {
        f"ft-{name}"
        for name in (
            "model-net",
            "dataset-pairs",
            "source-hub",
            "adapter-dora",
            "tracker-wall",
        )
    }


def test_of_a_recipe_whose_model_is_not_here(needs) -> None:
    Path("recipe.yaml").write_text("model: acme/net-1B\ndata: a/b\nadapter: lora\n")
    texts, found = needs("recipe.yaml")
    assert texts["checkpoint acme/net-1B"] == ["ft-model-net"]
    assert [need.met for need in found if need.what == "adapter:lora"] == [True]


def test_of_nothing(needs) -> None:
    with pytest.raises(InputError, match="no such data file"):
        needs("nowhere")
