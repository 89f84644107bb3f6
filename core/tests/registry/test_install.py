"""From names to distributions, and what an installation may not move."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ft.errors import InputError
from ft.plugins.index import read_index
from ft.registry import install
from ft.registry.install import (
    constraints,
    distributions_to_add,
    distributions_to_remove,
    installer,
)
from ft.registry.lookalike import lookalike
from ft.registry.read import read_registries
from ft.registry.search import Catalogue

LISTED = [
    {"distribution": d, "plugins": [{"kind": "adapter", "name": n}]}
    for d, n in (("ft-adapter-lora", "lora"), ("ft-adapter-dora", "dora"), ("acme", "dora"))
]


@pytest.fixture
def catalogue(site) -> Catalogue:
    site.adapter("mine")
    site.registry("ft-registry", {"first-party.json": json.dumps(LISTED)})
    path = [str(site.path)]
    return Catalogue(read_index(path), read_registries(path))


def test_names_become_distributions(catalogue: Catalogue) -> None:
    names = ["adapter:lora", "ft_adapter.LORA", "acme", "adapter:mine"]
    assert distributions_to_add(names, catalogue) == ["acme", "ft-adapter-lora", "ft-adapter-mine"]


def test_of_two_that_provide_one_name_the_reader_chooses(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match="acme and ft-adapter-dora both provide adapter:dora"):
        distributions_to_add(["adapter:dora"], catalogue)
    assert distributions_to_add(["adapter:acme/dora"], catalogue) == ["acme"]


@pytest.mark.parametrize(
    "name",
    ["ft-adapter-Iora", "adapter:Iora", "ft-adapter-1ora", "ft-adapter-lroa", "ftadapterlora"],
)
def test_a_name_like_anothers_is_refused(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(InputError, match="is in no registry, and looks like ft-adapter-lora"):
        distributions_to_add([name], catalogue)
    assert len(distributions_to_add([name], catalogue, unlisted=True)) == 1


def test_so_is_what_no_registry_lists(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match=r"requests is in no registry\n.*--unlisted"):
        distributions_to_add(["requests"], catalogue)


def test_a_bare_name_is_told_with_its_kind(catalogue: Catalogue) -> None:
    """It might be the distribution of somebody else, who is not to be trusted for it."""
    with pytest.raises(InputError, match=r"name of a plugin.*\n.*did you mean adapter:lora\?"):
        distributions_to_add(["lora"], catalogue)
    assert distributions_to_add(["lora"], catalogue, unlisted=True) == ["lora"]


@pytest.mark.parametrize(
    "name", ["./here", "-e.", "--index=x", "a b", "ft-adapter-lor\N{CYRILLIC SMALL LETTER A}", ""]
)
def test_what_is_no_name_never_reaches_the_installer(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(InputError, match="is neither a plugin's name nor"):
        distributions_to_add([name], catalogue, unlisted=True)


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("ft-adapter-iora", True),
        ("ft-adapter-1ora", True),
        ("ft-adapter-l0ra", True),
        ("ft-adapterlora", True),
        ("ft-adapter-lor", True),
        ("ft-adapter-loraa", True),
        ("ft-adapter-lara", True),
        ("ft-adapter-olra", True),
        ("ft-adapter-dora", True),
        ("ft-adapter-vera", False),
        ("ft-adapter-loha-x", False),
        ("ft-adapter", False),
    ],
)
def test_lookalikes(name: str, like: bool) -> None:
    assert lookalike(name, {"acme", "ft-adapter-lora"}) == ("ft-adapter-lora" if like else None)


def test_two_letters_that_look_like_one() -> None:
    assert lookalike("ft-optimizer-adarnvv", ["ft-optimizer-adamw"]) == "ft-optimizer-adamw"


def test_what_is_installed_keeps_its_version(site, catalogue: Catalogue) -> None:
    """Save ft's own, whose plugins may ask for one another and for a later core."""
    site.add("torch", {}, version="2.11.0+cpu")
    site.add("ft-core", {})
    site.add("numpy", {}, version="2.3.1")
    lines = constraints([str(site.path)], ["numpy"], catalogue, {"ft-adapter-lora": ">=0.1,<1"})
    assert lines == ["ft-adapter-lora>=0.1,<1", "torch==2.11.0+cpu"]


def test_versions_that_an_advisory_warns_of_are_ruled_out(site) -> None:
    site.add("torch", {}, version="2.11.0")
    bad = 'distribution = "{name}"\nreason = "Leaks tokens"\n'
    files = {
        "first-party.json": json.dumps(LISTED),
        "advisories/1.toml": bad.replace("{name}", "ft-adapter-lora") + 'lowest_good = "0.3"\n',
        "advisories/2.toml": bad.replace("{name}", "acme"),
        "advisories/3.toml": bad.replace("{name}", "torch") + 'lowest_good = "3"\n',
    }
    site.registry("ft-registry", files)
    path = [str(site.path)]
    catalogue = Catalogue(read_index(path), read_registries(path))
    wanted = distributions_to_add(["adapter:lora"], catalogue)
    assert constraints(path, wanted, catalogue, {}) == ["ft-adapter-lora>=0.3", "torch==2.11.0"]
    with pytest.raises(InputError, match=r"advisories/2\.toml: no version of acme is good: Leaks"):
        distributions_to_add(["acme"], catalogue, unlisted=True)


def test_the_installer_is_uv_and_pip_where_uv_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    uv, *rest = installer("install")
    assert (Path(uv).stem, rest) == ("uv", ["pip", "install", "--python", sys.executable])
    monkeypatch.setattr(install, "find_uv", lambda: None)
    assert installer("install") == [sys.executable, "-m", "pip", "install"]
    assert installer("uninstall")[-1] == "--yes"
    monkeypatch.setattr(install.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="neither uv nor pip"):
        installer("install")


def test_removal(site) -> None:
    site.adapter("base")
    site.adapter("more", requires=["ft-core>=0.1,<1", "ft-adapter-base>=0.1"])
    site.adapter("damaged", requires=["ft-adapter-base>>>"])
    index = read_index([str(site.path)])
    assert distributions_to_remove(["adapter:more"], index) == ["ft-adapter-more"]
    both = ["ft-adapter-base", "adapter:more"]
    assert distributions_to_remove(both, index) == ["ft-adapter-base", "ft-adapter-more"]
    with pytest.raises(InputError, match="ft-adapter-more needs ft-adapter-base") as raised:
        distributions_to_remove(["adapter:base"], index)
    assert "ft plugins remove ft-adapter-base ft-adapter-more" in str(raised.value)
    assert distributions_to_remove(["adapter:damaged"], index) == ["ft-adapter-damaged"]
    with pytest.raises(InputError, match=r"did you mean adapter:base\?"):
        distributions_to_remove(["base"], index)
    for name in ("pip", "adapter:gone", "ft-core"):
        with pytest.raises(InputError, match=f"no installed plugin is {name}"):
            distributions_to_remove([name], index)
