"""Registries along a path: merged, checked, and never trusted with paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ft.errors import InputError
from ft.plugins.index import read_index
from ft.registry.model import Advisory, Proof, Source
from ft.registry.read import read_advisories, read_registries, read_set

LORA = {
    "distribution": "ft-adapter-lora",
    "summary": "Low-rank updates",
    "plugins": [
        {
            "kind": "adapter",
            "name": "lora",
            "matches": {"checkpoint": ["a/*", "b"]},
            "papers": ["arXiv:2106.09685"],
        }
    ],
}
PROOF = {"version": "1.2", "level": 2, "kit": "1", "wheel": f"sha256:{'0' * 64}"}
OTHER = {
    "distribution": "Acme.Lora",
    "steward": "Acme",
    "plugins": [{"kind": "adapter", "name": "acme"}],
    "proofs": [PROOF, {**PROOF, "version": "1.3", "files": f"sha256:{'1' * 64}"}],
}


def other(**changes) -> str:
    """The file of a published distribution."""
    return json.dumps({**OTHER, **changes})


STARTER = """
summary = "To begin with"
owner = "the project"
allow = ["adapter:acme"]
grants = ["pickled-weights"]
plugins = {ft-adapter-lora = ">=0.1,<1"}
options = {"adapter:lora" = {rank = 8, alpha = 4}}
"""


@pytest.fixture
def read(site):
    """Reads the registries of the site alone."""
    return lambda: read_registries([str(site.path)])


def test_registries_are_merged_and_the_projects_own_comes_first(site, read) -> None:
    site.registry(
        "acme-registry",
        {"plugins/a.json": other(), "sets/starter.toml": STARTER.replace("8", "9")},
    )
    site.registry(
        "ft-registry", {"first-party.json": json.dumps([LORA]), "sets/starter.toml": STARTER}
    )
    registry = read()
    lora, acme = registry.published
    assert (lora.distribution, str(lora.source)) == (
        "ft-adapter-lora",
        "ft-registry: first-party.json",
    )
    (plugin,) = lora.plugins
    assert plugin.id == "adapter:lora"
    assert plugin.summary == "Low-rank updates"
    assert plugin.matches == (("checkpoint", "a/*"), ("checkpoint", "b"))
    assert acme.distribution == "acme-lora"
    assert acme.source == Source("acme-registry", "plugins/a.json")
    wheel = "sha256:" + "0" * 64
    assert acme.proofs == (
        Proof("1.2", 2, "1", wheel),
        Proof("1.3", 2, "1", wheel, "sha256:" + "1" * 64),
    )
    assert registry.sets["starter"].source.registry == "ft-registry"
    for name, rank in (("starter", 8), ("ft-registry/starter", 8), ("acme-registry/starter", 9)):
        assert read_set(name, registry).options["adapter:lora"]["rank"] == rank


def test_no_registry_is_an_empty_one(site, read) -> None:
    site.adapter("lora")
    assert not read().published
    with pytest.raises(InputError, match="no sets are installed"):
        read_set("starter", read())


def test_a_registry_is_no_plugin(site) -> None:
    site.registry("ft-registry", {"plugins/a.json": other()})
    assert read_index([str(site.path)]).records == []


def test_an_editable_registry_is_found_along_the_path(site, tmp_path: Path) -> None:
    folder = site.registry("acme-registry", {"plugins/a.json": other()})
    (tmp_path / "source").mkdir()
    folder.rename(tmp_path / "source" / folder.name)
    path = [str(site.path), str(tmp_path / "source")]
    assert [entry.distribution for entry in read_registries(path).published] == ["acme-lora"]


def test_advisories(site) -> None:
    text = 'distribution = "FT_adapter.bad"\nreason = "Leaks tokens"\nlowest_good = "0.3"\n'
    site.registry("ft-registry", {"advisories/2026-1.toml": text, "advisories/README.md": "#"})
    path = [str(site.path)]
    source = Source("ft-registry", "advisories/2026-1.toml")
    found = (Advisory("2026-1", "ft-adapter-bad", "Leaks tokens", source, "0.3"),)
    assert read_advisories(path) == read_registries(path).advisories == found


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("first-party.json", "{}", "must be a list"),
        ("first-party.json", "[", "JSON"),
        ("first-party.json", '[{"distribution": 1, "plugins": []}]', "distribution must be text"),
        ("plugins/a.toml", 'distribution = "a"', "must be a file *.json"),
        ("plugins/a.json", "{", "not readable JSON"),
        ("plugins/a.json", "[" * 100_000, "not readable JSON"),
        ("plugins/a.json", "[]", "must be keys with their values"),
        ("plugins/a.json", '{"distribution": "a"}', "plugins is missing"),
        ("plugins/a.json", other(distribution="../a"), "not the name of a dist"),
        ("plugins/a.json", other(more=1), "has no key 'more'"),
        ("plugins/a.json", other(proofs=[{**PROOF, "level": True}]), "level must be number"),
        ("plugins/a.json", other(proofs=[{**PROOF, "wheel": "md5:0"}]), "wheel must be sha256:"),
        ("plugins/a.json", other(proofs=[{**PROOF, "files": "0"}]), "files must be sha256:"),
        ("plugins/a.json", other(plugins=[{"name": "a"}]), "kind is missing"),
        ("advisories/a.toml", "distribution = ", "not TOML"),
        ("sets/a.json", "{}", "must be a file *.toml"),
        ("advisories/a.toml", 'distribution = "a"', "reason is missing"),
        ("sets/a.toml", 'summary = "a"\nplugins = ["b"]', "plugins must be a table of texts"),
        ("sets/a.toml", 'summary = "a"\ngrants = ["everything"]', "grants has 'everything'"),
        ("sets/a.toml", 'summary = "a"\noptions = {lora = {}}', "where a kind:name belongs"),
        ("sets/A B.toml", 'summary = "a"', "not a set's name"),
    ],
)
def test_what_is_malformed_is_named_with_its_file(site, read, file, text, says) -> None:
    site.registry("ft-registry", {file: text})
    with pytest.raises(InputError) as raised:
        read()
    assert says in str(raised.value)
    assert f"ft-registry: {file}" in str(raised.value)


@pytest.mark.parametrize("file", ["first-party.json", "plugins/a.json", "sets/a.toml", "sets"])
def test_a_link_out_of_the_registry_is_refused(site, read, tmp_path: Path, file: str) -> None:
    folder = site.registry("ft-registry", {"plugins/other.json": other()})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.toml").write_text(other())
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).symlink_to(outside if file == "sets" else outside / "a.toml")
    with pytest.raises(InputError, match="leads out of the registry") as raised:
        read()
    assert f"ft-registry: {file}" in str(raised.value)


@pytest.mark.parametrize("package", ["../outside", "/etc", "a..b", "nowhere"])
def test_a_package_that_is_none_is_refused(site, read, package: str) -> None:
    site.add("acme-registry", {"registry:made": package}, requires=())
    with pytest.raises(InputError, match=r"acme-registry: ft\.registry"):
        read()


# -- sets --------------------------------------------------------------------------------------

TEAM = """
summary = "Ours"
includes = ["starter", "more.toml"]
allow = ["acme-*"]
plugins = {ft-adapter-lora = ">=0.2", acme-lora = ""}
options = {"adapter:lora" = {rank = 64}}
"""
MORE = 'summary = "More"\nplugins = {ft-model-x = "==1.*"}\noptions = {"model:x" = {a = 1}}\n'


@pytest.fixture
def team(site, tmp_path: Path) -> Path:
    """A team's own set beside a registry."""
    site.registry("ft-registry", {"sets/starter.toml": STARTER})
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "set.toml").write_text(TEAM)
    (folder / "more.toml").write_text(MORE)
    return folder


def test_a_set_holds_what_it_includes(team: Path, read) -> None:
    own = read_set(str(team / "set.toml"), read())
    assert (own.name, own.source) == ("set", Source("", str(team / "set.toml")))
    assert own.plugins == {
        "ft-adapter-lora": ">=0.1,<1,>=0.2",
        "ft-model-x": "==1.*",
        "acme-lora": "",
    }
    assert own.options == {"adapter:lora": {"rank": 64, "alpha": 4}, "model:x": {"a": 1}}
    assert own.allow == ("adapter:acme", "acme-*")


def test_leave_is_not_inherited(team: Path, read) -> None:
    assert read_set("starter", read()).grants == ("pickled-weights",)
    assert read_set(str(team / "set.toml"), read()).grants == ()


@pytest.mark.parametrize("name", ["../more.toml", "/more.toml", "link.toml"])
def test_a_set_may_not_climb_out_of_its_folder(team: Path, read, name: str) -> None:
    (team.parent / "more.toml").write_text(MORE)
    (team / "link.toml").symlink_to(team.parent / "more.toml")
    (team / "set.toml").write_text(f'summary = "a"\nincludes = ["{name}"]')
    with pytest.raises(InputError, match="may not reach") as raised:
        read_set(str(team / "set.toml"), read())
    assert str(raised.value).startswith(str(team / "set.toml"))


def test_nor_may_a_registrys_name_files(site, read) -> None:
    site.registry("ft-registry", {"sets/a.toml": 'summary = "a"\nincludes = ["b.toml"]'})
    with pytest.raises(InputError, match=r"ft-registry: sets/a\.toml: .*may not reach"):
        read_set("a", read())


@pytest.mark.parametrize("name", ["../starter", "sets/../starter", "Starter", "", "none"])
def test_a_name_that_is_no_sets(team: Path, read, name: str) -> None:
    with pytest.raises(InputError, match="sets: starter"):
        read_set(name, read())


def test_a_set_that_includes_itself(team: Path, read) -> None:
    (team / "more.toml").write_text('summary = "a"\nincludes = ["set.toml"]')
    with pytest.raises(InputError, match="includes itself"):
        read_set(str(team / "set.toml"), read())


def test_what_is_included_and_not_there_is_told_with_who_includes_it(team: Path, read) -> None:
    (team / "set.toml").write_text('summary = "a"\nincludes = ["nothing"]')
    with pytest.raises(InputError, match=r"team/set\.toml: no registry has a set 'nothing'"):
        read_set(str(team / "set.toml"), read())
