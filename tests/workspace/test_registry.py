"""The project's own registry: computed where it can be, and of the form that it promises."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkout import ROOT, distributions

from ft.errors import InputError
from ft.kinds import KINDS
from ft.registry.entry import advisory, curated_set, published
from ft.registry.model import Source
from ft.registry.read import read_registries, read_set

PROJECT = ROOT / "registry"
PACKAGE = PROJECT / "src" / "ft_registry"
MADE = Source("made", "here")


def schema(name: str) -> dict[str, Any]:
    return json.loads((PACKAGE / "schema" / f"{name}.json").read_text(encoding="utf-8"))


def content(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    return json.loads(text) if file.suffix == ".json" else tomllib.loads(text)


FILES = {
    **dict.fromkeys(PACKAGE.glob("plugins/*.json"), "published"),
    **dict.fromkeys(PACKAGE.glob("advisories/*.toml"), "advisory"),
    **dict.fromkeys(PACKAGE.glob("sets/*.toml"), "set"),
}
FIRST_PARTY = json.loads((PACKAGE / "first-party.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory):
    """The checkout's registry, as one that is installed."""
    place = tmp_path_factory.mktemp("installed")
    info = place / "ft_registry-0.1.0.dist-info"
    info.mkdir()
    points = content(PROJECT / "pyproject.toml")["project"]["entry-points"]["ft.registry"]
    lines = "".join(f"{name} = {package}\n" for name, package in points.items())
    (info / "entry_points.txt").write_text(f"[ft.registry]\n{lines}", encoding="utf-8")
    return read_registries([str(place), str(PROJECT / "src")])


def test_the_list_of_our_own_is_current() -> None:
    """``python registry/compute.py`` writes it anew."""
    spec = importlib.util.spec_from_file_location("compute", PROJECT / "compute.py")
    assert spec
    assert spec.loader
    compute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(compute)
    entries = compute.compute()
    assert compute.FILE.read_text(encoding="utf-8") == compute.text(entries)
    assert compute.EVERYTHING.read_text(encoding="utf-8") == compute.everything(entries)


@pytest.mark.parametrize("name", ["published", "advisory", "set"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_files_are_of_their_schema(file: Path) -> None:
    jsonschema.validate(content(file), schema(FILES[file]))


@pytest.mark.parametrize("entry", FIRST_PARTY, ids=lambda e: e["distribution"])
def test_so_are_our_own(entry: dict[str, Any]) -> None:
    jsonschema.validate(entry, schema("published"))


def test_the_files_of_plugins_are_named_after_their_distribution() -> None:
    files = sorted(PACKAGE.glob("plugins/*.json"))
    assert [content(file)["distribution"] for file in files] == [file.stem for file in files]


def test_the_registry_can_be_read(registry) -> None:
    names = [entry.distribution for entry in registry.published]
    assert len(names) == len(set(names)) == len(distributions()) + len(FILES) - len(registry.sets)
    assert {plugin.kind for entry in registry.published for plugin in entry.plugins} <= set(KINDS)


@pytest.mark.parametrize("project", sorted((ROOT / "contrib").glob("*/*")), ids=lambda p: p.name)
def test_entries_of_contributed_plugins_say_what_their_projects_do(project: Path) -> None:
    declared = content(project / "pyproject.toml")["project"]
    entry = content(PACKAGE / "plugins" / f"{declared['name']}.json")
    assert entry["summary"] == declared["description"]
    assert entry["licence"] == declared["license"]
    points = declared["entry-points"]
    assert {f"{p['kind']}:{p['name']}" for p in entry["plugins"]} == {
        f"{group.removeprefix('ft.')}:{name}"
        for group, entries in points.items()
        if not group.startswith("ft.match.")
        for name in entries
    }
    keys = {g: set(k) for p in entry["plugins"] for g, k in p.get("matches", {}).items()}
    assert keys == {
        group.removeprefix("ft.match."): set(entries)
        for group, entries in points.items()
        if group.startswith("ft.match.")
    }


# -- sets --------------------------------------------------------------------------------------

SETS = ["starter", "sft", "preference", "reinforcement", "vision", "low-memory", "everything"]


def test_the_sets_are_there(registry) -> None:
    assert sorted(registry.sets) == sorted(SETS)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_of_our_own_plugins_with_all_that_they_require(registry, name: str) -> None:
    found = read_set(name, registry).plugins
    projects = {d.pyproject["project"]["name"]: d.pyproject["project"] for d in distributions()}
    assert found.keys() <= projects.keys()
    # what pip would bring along must be permitted to load, too
    required = {
        dependency.partition(">")[0]
        for distribution in found
        for dependency in projects[distribution]["dependencies"]
        if dependency.startswith("ft-") and not dependency.startswith("ft-core")
    }
    assert required <= found.keys()
    assert set(found.values()) == {">=0.1,<1"}


def test_a_set_suffices_for_what_its_plugins_suggest(registry) -> None:
    """``starter`` trains a model from chat rows: a plugin of each kind that this takes."""
    kinds = {name.split("-")[1] for name in read_set("starter", registry).plugins}
    needed = {"model", "template", "dataset", "adapter", "optimizer", "trainer", "source"}
    assert needed | {"tracker", "engine", "exporter"} <= kinds


def test_reinforcement_has_every_reward(registry) -> None:
    """And something that learns from them, and prompts to answer."""
    names = read_set("reinforcement", registry).plugins.keys()
    rewards = {d.pyproject["project"]["name"] for d in distributions() if d.kind == "reward"}
    assert rewards | {"ft-trainer-grpo", "ft-dataset-prompts"} <= names


def test_everything_is_everything(registry) -> None:
    names = {d.pyproject["project"]["name"] for d in distributions()}
    assert read_set("everything", registry).plugins.keys() == names


# -- schema and reader agree -------------------------------------------------------------------

ENTRY = {
    "distribution": "ft-adapter-x",
    "summary": "Something made up",
    "repository": "https://example.org/x",
    "steward": "somebody",
    "licence": "MIT",
    "plugins": [{"kind": "adapter", "name": "x", "papers": ["arXiv:2106.09685"]}],
    "proofs": [{"version": "1", "level": 2, "kit": "1", "wheel": "sha256:" + "0" * 64}],
}
ADVISORY = {"distribution": "ft-adapter-x", "reason": "Leaks tokens", "lowest_good": "0.3"}
SET = {
    "summary": "Something made up",
    "owner": "somebody",
    "grants": ["trust-remote-code"],
    "plugins": {"ft-adapter-x": ">=0.1,<1", "ft-adapter-y": ""},
    "options": {"adapter:x": {"rank": 8}},
}
READERS = {
    "published": (ENTRY, published),
    "advisory": (ADVISORY, lambda data, source: advisory("a", data, source)),
    "set": (SET, lambda data, source: curated_set("a", data, source)),
}


@pytest.mark.parametrize("name", READERS)
def test_schema_and_reader_take_the_same(name: str) -> None:
    data, reader = READERS[name]
    jsonschema.validate(data, schema(name))
    reader(data, MADE)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("published", {"extra": 1}),
    ("published", {"distribution": "../x"}),
    ("published", {"plugins": [{"kind": "adapter"}]}),
    ("published", {"plugins": [{"kind": "adapter", "name": "x", "matches": {"columns": "a"}}]}),
    ("published", {"proofs": [{**ENTRY["proofs"][0], "wheel": "md5:0"}]}),
    ("published", {"proofs": [{**ENTRY["proofs"][0], "files": "0"}]}),
    ("advisory", {"distribution": 1}),
    ("advisory", {"extra": 1}),
    ("set", {"grants": ["all"]}),
    ("set", {"plugins": ["ft-adapter-x"]}),
    ("set", {"options": {"x": {}}}),
]


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_schema_and_reader_refuse_the_same(name: str, change: dict[str, Any]) -> None:
    data, reader = READERS[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**data, **change}, schema(name))
    with pytest.raises(InputError):
        reader({**data, **change}, MADE)


@pytest.mark.parametrize("name", READERS)
def test_schema_and_reader_know_the_same_keys(name: str) -> None:
    data, reader = READERS[name]
    with pytest.raises(InputError) as raised:
        reader({**data, "no such key": 1}, MADE)
    known = str(raised.value.hint).removeprefix("known: ").split(", ")
    assert sorted(known) == sorted(schema(name)["properties"])
