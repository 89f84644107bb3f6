"""Installed and listed plugins, found together."""

from __future__ import annotations

import json
import time

import pytest

from ft.plugins.index import read_index
from ft.registry.read import read_registries
from ft.registry.search import Catalogue

QWEN = {
    "distribution": "ft-model-qwen3",
    "summary": "Dense and mixture-of-experts models",
    "plugins": [
        {
            "kind": "model",
            "name": "qwen3",
            "matches": {"model_type": ["qwen3", "qwen3_moe"], "checkpoint": ["Qwen/Qwen3-*"]},
            "papers": ["arXiv:2505.09388"],
        }
    ],
}
LORA = {
    "distribution": "ft-adapter-lora",
    "summary": "Low-rank updates",
    "plugins": [{"kind": "adapter", "name": "lora", "papers": ["arXiv:2106.09685"]}],
}


@pytest.fixture
def catalogue(site):
    """Reads what the site holds and its registries list."""
    path = [str(site.path)]
    return lambda: Catalogue(read_index(path), read_registries(path))


def ids(found) -> list[str]:
    return [known.record.id for known in found]


@pytest.mark.parametrize(
    "words",
    [
        ["QWEN3"],
        ["mixture", "model:"],
        ["ft-model-qwen3"],
        ["qwen3_moe"],
        ["Qwen/Qwen3-0.6B"],
        ["2505.09388"],
    ],
)
def test_what_is_listed_is_found_by_all_that_it_says(site, catalogue, words) -> None:
    site.registry("ft-registry", {"first-party.json": json.dumps([LORA, QWEN])})
    (found,) = catalogue().search(words)
    assert found.record.id == "model:qwen3"
    assert not found.installed
    assert found.registries == ("ft-registry: first-party.json",)


def test_all_words_count(site, catalogue) -> None:
    site.registry("ft-registry", {"first-party.json": json.dumps([LORA, QWEN])})
    assert ids(catalogue().search(["low", "qwen3"])) == []
    assert ids(catalogue().search(["ft"])) == ["adapter:lora", "model:qwen3"]


def test_what_is_installed_and_listed_is_one(site, catalogue) -> None:
    site.adapter("lora", summary="Installed", headers="Keywords: peft\n")
    site.registry("ft-registry", {"first-party.json": json.dumps([LORA])})
    for word in ("installed", "peft", "2106.09685"):
        (found,) = catalogue().search([word])
        assert found.installed
        assert found.papers == ("arXiv:2106.09685",)


def test_a_match_for_anything_is_no_mention(site, catalogue) -> None:
    site.add("ft-model-auto", {"model:auto": "m:f"}, "", match={"model_type *": "m:f"})
    assert ids(catalogue().search(["nonsense"])) == []


def test_what_is_listed_is_matched_more_closely_than_what_is_installed(site, catalogue) -> None:
    site.add("ft-model-auto", {"model:auto": "m:f"}, "", match={"model_type *": "m:f"})
    site.registry("ft-registry", {"first-party.json": json.dumps([QWEN])})
    assert ids(catalogue().match("model_type", "qwen3")) == ["model:qwen3"]
    assert ids(catalogue().match("checkpoint", "Qwen/Qwen3-8B")) == ["model:qwen3"]


def test_a_thousand_entries_are_searched_in_time(site, catalogue) -> None:
    """In 0.3 seconds of one core, reading the registry included; the best of three."""
    text = json.dumps(QWEN).replace("qwen3", "made_{n}").replace("Qwen3", "made-{n}")
    files = {f"plugins/{n}.json": text.replace("{n}", f"{n:05}") for n in range(1000)}
    site.registry("ft-registry", files)
    seconds = []
    for _ in range(3):
        started = time.process_time()
        found = catalogue().search(["made_00500"])
        seconds.append(time.process_time() - started)
    assert ids(found) == ["model:made_00500"]
    assert min(seconds) < 0.3
