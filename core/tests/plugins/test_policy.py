"""Policy: who is denied, by which line, and which file comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from ft.errors import InputError
from ft.plugins.index import read_index
from ft.plugins.load import load
from ft.plugins.policy import parse_policy, read_policy


def project(text: str) -> None:
    Path("ft.toml").write_text(text)


def machine(tmp_path: Path, text: str) -> None:
    (tmp_path / "machine.toml").write_text(text)


def states(site) -> dict[str, tuple[str, str]]:
    index = read_policy().apply(read_index([str(site.path)]))
    return {r.distribution: (r.state, r.reason) for r in index.records}


def test_without_a_file_everything_is_permitted(site) -> None:
    site.adapter("lora")
    assert states(site) == {"ft-adapter-lora": ("ok", "")}


@pytest.mark.parametrize("entry", ["ft-adapter-lora", "FT_Adapter.lora", "adapter:lora", "ft-*"])
def test_deny_names_its_line(site, entry: str) -> None:
    site.adapter("lora")
    project(f'[plugins]\n# "{entry}" in a comment\ndeny = [\n  "other",\n  "{entry}",\n]\n')
    assert states(site)["ft-adapter-lora"] == ("denied", "denied by ft.toml:5")


def test_the_file_is_found_upward(site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.adapter("lora")
    project('[plugins]\ndeny = ["adapter:*"]\n')
    file = Path("ft.toml").absolute()
    Path("deep/er").mkdir(parents=True)
    monkeypatch.chdir("deep/er")
    assert states(site)["ft-adapter-lora"] == ("denied", f"denied by {file}:2")


def test_curated_permits_only_what_allow_names(site) -> None:
    site.adapter("lora")
    site.adapter("dora")
    project('[plugins]\nmode = "curated"\nallow = ["adapter:lora"]\n')
    assert states(site) == {
        "ft-adapter-dora": ("denied", "not in the allow list of ft.toml:3"),
        "ft-adapter-lora": ("ok", ""),
    }


def test_curated_without_a_list_permits_nothing(site) -> None:
    site.adapter("lora")
    project('[plugins]\nmode = "curated"\n')
    assert states(site)["ft-adapter-lora"] == ("denied", "not in the allow list of ft.toml:2")


def test_denied_beats_allowed(site) -> None:
    site.adapter("lora")
    project('[plugins]\nmode = "curated"\nallow = ["*"]\ndeny = ["adapter:lora"]\n')
    assert states(site)["ft-adapter-lora"] == ("denied", "denied by ft.toml:4")


def test_the_machine_comes_before_the_project(site, tmp_path: Path) -> None:
    site.adapter("lora")
    site.adapter("dora")
    project('[plugins]\nmode = "open"\nallow = ["*"]\n')
    machine(tmp_path, '[plugins]\nmode = "curated"\nallow = ["ft-adapter-dora"]\n')
    assert {d: s for d, (s, _) in states(site).items()} == {
        "ft-adapter-dora": "ok",
        "ft-adapter-lora": "denied",
    }


@pytest.mark.parametrize("denier", ["project", "machine"])
def test_what_either_denies_is_denied(site, tmp_path: Path, denier: str) -> None:
    site.adapter("lora")
    deny, allow = '[plugins]\ndeny = ["adapter:lora"]\n', '[plugins]\nallow = ["*"]\n'
    project(deny if denier == "project" else allow)
    machine(tmp_path, deny if denier == "machine" else allow)
    assert states(site)["ft-adapter-lora"][0] == "denied"


def test_prefer_and_the_machine_over_it(site, tmp_path: Path) -> None:
    site.adapter("lora")
    site.add("acme", {"adapter:lora": "acme:plugin"}, "")
    project('[plugins]\nprefer = {"adapter:lora" = "acme"}\n')
    assert states(site)["acme"] == ("ok", "")
    assert states(site)["ft-adapter-lora"] == ("shadowed", "ft.toml:2 prefers acme")
    machine(tmp_path, '[plugins.prefer]\n"adapter:lora" = "ft_adapter_lora"\n')
    assert states(site)["ft-adapter-lora"] == ("ok", "")


def test_denying_one_rival_settles_a_conflict(site) -> None:
    site.adapter("lora")
    site.add("acme", {"adapter:lora": "acme:plugin"}, "")
    assert states(site)["acme"][0] == "conflict"
    project('[plugins]\ndeny = ["acme"]\n')
    assert {d: s for d, (s, _) in states(site).items()} == {
        "acme": "denied",
        "ft-adapter-lora": "ok",
    }


def test_denied_is_never_imported(site, tmp_path: Path) -> None:
    trace = tmp_path / "imported"
    site.adapter("lora", f"open({str(trace)!r}, 'w')\n")
    project('[plugins]\ndeny = ["ft-adapter-lora"]\n')
    index = read_policy().apply(read_index([str(site.path)]))
    with pytest.raises(InputError, match=r"denied by ft\.toml:2"):
        load(index.records[0])
    with pytest.raises(InputError, match=r"denied by ft\.toml:2"):
        index.find("adapter", "ft-adapter-lora/lora")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ('[plugins]\n\ndenny = ["x"]\n', "ft.toml:3", "did you mean deny"),
        ("[plugin]\n", "ft.toml:1", "did you mean plugins"),
        ('plugins = "x"\n', "ft.toml:1", "must be a table"),
        ('[plugins]\ndeny = "x"\n', "ft.toml:2", "must be a list"),
        ("[plugins]\nallow = [1]\n", "ft.toml:2", "must be a list"),
        ("[plugins]\nallow = 3\n", "ft.toml:2", "must be a list"),
        ('[plugins]\nmode = "closed"\n', "ft.toml:2", '"open" or "curated"'),
        ('[plugins]\nprefer = {lora = "x"}\n', "ft.toml:2", "kind:name"),
        ('[plugins]\nprefer = {"a:b" = 1}\n', "ft.toml:2", "must be a table"),
        ("[plugins]\nx = \n", "ft.toml:2", "is not TOML"),
    ],
)
def test_mistakes_are_placed(site, text: str, where: str, message: str) -> None:
    project(text)
    with pytest.raises(InputError) as raised:
        parse_policy(Path("ft.toml").absolute())
    assert raised.value.where == where
    assert message in str(raised.value)
