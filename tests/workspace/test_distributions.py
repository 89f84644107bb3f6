"""Every plugin is a distribution of the same form; only what must differ does."""

from __future__ import annotations

import functools
import importlib
import re
from collections import Counter
from typing import Any

import pytest
from checkout import ROOT, Distribution, distributions

from ft.api import ModelFamily, Plugin
from ft.kinds import KINDS
from ft.plugins.load import base_class
from ft.plugins.record import Record

every = pytest.mark.parametrize("distribution", distributions(), ids=str)

# the keys of [project] that are a plugin's own; all others are the same everywhere
OWN = {"name", "description", "dependencies", "entry-points", "optional-dependencies"}
COMMON = {
    "project": {"version": "0.1.0", "license": "Apache-2.0", "requires-python": ">=3.11"},
    "build-system": {"requires": ["uv_build>=0.9,<0.14"], "build-backend": "uv_build"},
}
LEADS_TO = {
    "model_type": "model",
    "checkpoint": "model",
    "quantization": "quantizer",
    "columns": "dataset",
    "scheme": "source",
}
"""``ft.match.<group>`` → the kind of plugin that its keys lead to."""


def loaded(value: str) -> Any:
    """The object behind an entry point."""
    module, _, attributes = value.partition(":")
    return functools.reduce(getattr, attributes.split("."), importlib.import_module(module))


def declared(distribution: Distribution) -> dict[tuple[str, str], str]:
    """``(kind, name)`` → ``module:object`` of all plugins of a distribution."""
    return {
        (group.removeprefix("ft."), name): value
        for group, entries in distribution.entry_points.items()
        if not group.startswith("ft.match.")
        for name, value in entries.items()
    }


@every
def test_pyproject_differs_only_in_what_must(distribution: Distribution) -> None:
    data = distribution.pyproject
    project = {key: value for key, value in data["project"].items() if key not in OWN}
    assert {**data, "project": project} == COMMON


@every
def test_names_follow_the_folder(distribution: Distribution) -> None:
    assert distribution.kind in KINDS
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", distribution.name)
    assert distribution.pyproject["project"]["name"] == f"ft-{distribution}"
    assert (distribution.package / "__init__.py").is_file()
    assert [p.name for p in (distribution.folder / "src").iterdir() if p.name[0] != "_"] == [
        distribution.module
    ]


@every
def test_it_declares_itself(distribution: Distribution) -> None:
    """Under its own kind and name; what else it declares lies in the same package."""
    plugins = declared(distribution)
    assert (distribution.kind, distribution.name) in plugins
    for value in plugins.values():
        assert value.partition(":")[0].partition(".")[0] == distribution.module


@every
def test_description_is_one_line(distribution: Distribution) -> None:
    description = distribution.pyproject["project"]["description"]
    assert 10 < len(description) <= 90
    assert not description.endswith(".")


@every
def test_it_requires_a_range_of_core(distribution: Distribution) -> None:
    dependencies = distribution.pyproject["project"]["dependencies"]
    assert dependencies[0] == "ft-core>=0.1,<1"
    assert not [d for d in dependencies if "==" in d or "@" in d]
    for dependency in dependencies:
        if dependency.startswith("ft-"):
            assert re.fullmatch(r"ft-[a-z0-9-]+>=\d[\d.]*,<\d[\d.]*", dependency)


@every
def test_its_tests_begin_with_the_conformance_kit(distribution: Distribution) -> None:
    """The two lines, in a file of their own."""
    text = (distribution.folder / "tests" / "test_conformance.py").read_text(encoding="utf-8")
    assert text == (
        "from ft.conformance import conformance\n\n"
        f'test = conformance("{distribution.pyproject["project"]["name"]}")\n'
    )


@every
def test_entry_points_are_plugins_of_their_kind(distribution: Distribution) -> None:
    for (kind, name), value in declared(distribution).items():
        plugin = loaded(value)
        record = Record(kind, name, distribution.pyproject["project"]["name"], "0.1.0")
        assert isinstance(plugin, base_class(record)), value
        assert plugin.kind == kind


@every
def test_match_groups_lead_to_its_own_plugins(distribution: Distribution) -> None:
    plugins = {loaded(value): kind for (kind, _), value in declared(distribution).items()}
    for group, entries in distribution.entry_points.items():
        if group.startswith("ft.match."):
            wanted = LEADS_TO[group.removeprefix("ft.match.")]
            for key, value in entries.items():
                assert plugins.get(loaded(value)) == wanted, f"{group} {key}"


@every
def test_model_types_agree_with_the_metadata(distribution: Distribution) -> None:
    """What a family says that it loads, and the keys by which it is found."""
    matched: dict[Any, set[str]] = {}
    for key, value in distribution.entry_points.get("ft.match.model_type", {}).items():
        matched.setdefault(loaded(value), set()).add(key)
    for family, keys in matched.items():
        assert isinstance(family, ModelFamily)
        others = set(family.model_types) - keys
        assert keys - {"*"} <= set(family.model_types)
        # a type that another family has is found by its checkpoints
        assert not others or "ft.match.checkpoint" in distribution.entry_points
    for (kind, _), value in declared(distribution).items():
        if kind == "model" and (family := loaded(value)) not in matched:
            # one whose model types belong to another family is found by its checkpoints
            assert "ft.match.checkpoint" in distribution.entry_points, family.title


def test_no_name_or_key_is_claimed_twice() -> None:
    names = Counter(
        (group, name)
        for distribution in distributions()
        for group, entries in distribution.entry_points.items()
        for name in entries
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_a_familys_templates_exist() -> None:
    templates = {n for d in distributions() for kind, n in declared(d) if kind == "template"}
    for distribution in distributions():
        for (kind, _), value in declared(distribution).items():
            if kind == "model":
                assert set(loaded(value).templates) <= templates


# -- options, capabilities, suggestions --------------------------------------------------------

plugins = pytest.mark.parametrize(
    "plugin",
    [
        pytest.param((kind, name, value), id=f"{kind}:{name}")
        for distribution in distributions()
        for (kind, name), value in declared(distribution).items()
    ],
)


@plugins
def test_every_option_is_described(plugin: tuple[str, str, str]) -> None:
    fields = type(loaded(plugin[2])).Options.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


@plugins
def test_options_are_strict(plugin: tuple[str, str, str]) -> None:
    settings = type(loaded(plugin[2])).Options.model_config
    assert settings.get("extra") == "forbid"
    assert settings.get("frozen")


@plugins
def test_capability_words_exist(plugin: tuple[str, str, str]) -> None:
    _, name, value = plugin
    found: Plugin = loaded(value)
    required = {n for n, f in type(found).Options.model_fields.items() if f.is_required()}
    for options in found.samples:
        if required <= options.keys() and not any(map(callable, options.values())):
            found.bind(name, options).capabilities()
        else:  # only a recipe can bind it; the words of the class are checked all the same
            Plugin.capabilities(found)


@plugins
def test_suggestions_are_parts_that_exist(plugin: tuple[str, str, str]) -> None:
    installed = {key for d in distributions() for key in declared(d)}
    kinds = {kind.key: kind.name for kind in KINDS.values() if kind.key}
    for key, value in loaded(plugin[2]).suggests.items():
        assert key in kinds
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            name = entry if isinstance(entry, str) else entry.get("name")
            assert name is None or (kinds[key], name) in installed


@plugins
def test_a_paper_is_cited_by_its_arxiv_number(plugin: tuple[str, str, str]) -> None:
    paper = loaded(plugin[2]).paper
    assert paper is None or re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", paper)


@plugins
def test_the_class_has_a_docstring(plugin: tuple[str, str, str]) -> None:
    """It is what ``ft plugins info`` shows."""
    assert type(loaded(plugin[2])).__doc__


def test_the_licence_is_apache() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
