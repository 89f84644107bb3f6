"""Policy: who is denied, by which line, and which file comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from ft.errors import InputError
from ft.plugins.index import read_index
from ft.plugins.load import load
from ft.plugins.policy import read_policy
from ft.plugins.policy_file import parse_rules


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


NO_LIST = "ft.toml:2 permits what a set or an allow list names, and there is none"


def test_curated_without_a_list_permits_nothing(site) -> None:
    site.adapter("lora")
    project('[plugins]\nmode = "curated"\n')
    assert states(site)["ft-adapter-lora"] == ("denied", NO_LIST)


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
        ('[plugins]\nmode = "closed"\n', "ft.toml:2", '"curated" or "locked"'),
        ('[plugins]\nprefer = {lora = "x"}\n', "ft.toml:2", "kind:name"),
        ('[plugins]\nprefer = {"a:b" = 1}\n', "ft.toml:2", "must be a table"),
        ("[plugins]\nx = \n", "ft.toml:2", "is not TOML"),
        ('[plugins]\ngrants = ["all"]\n', "ft.toml:2", "trust-remote-code"),
        ("[env]\nset = 3\n", "ft.toml:2", "the name of a set"),
    ],
)
def test_mistakes_are_placed(site, text: str, where: str, message: str) -> None:
    project(text)
    with pytest.raises(InputError) as raised:
        parse_rules(Path("ft.toml").absolute())
    assert raised.value.where == where
    assert message in str(raised.value)


TEAM = 'summary = "Ours"\nallow = ["adapter:dora"]\n[plugins]\nft-adapter-lora = ">=0.1,<1"\n'


def team_set(text: str = TEAM, plugins: str = "") -> None:
    """A project whose set is a file of its own."""
    Path("team").mkdir(exist_ok=True)
    Path("team/ours.toml").write_text(text)
    project(f'[env]\nset = "team/ours.toml"\n\n[plugins]\nmode = "curated"\n{plugins}')


def test_curated_permits_the_set_and_what_is_allowed_beside_it(site) -> None:
    for name in ("lora", "dora", "vera"):
        site.adapter(name)
    team_set()
    assert states(site) == {
        "ft-adapter-dora": ("ok", ""),
        "ft-adapter-lora": ("ok", ""),
        "ft-adapter-vera": ("denied", "not in the set ours.toml of ft.toml:2"),
    }


def test_a_set_asks_for_versions(site) -> None:
    site.adapter("lora", version="1.0.0", requires=())
    team_set()
    reason = "the set of ft.toml:2 has it as >=0.1,<1, not 1.0.0"
    assert states(site)["ft-adapter-lora"] == ("denied", reason)


def test_denied_beats_the_set(site) -> None:
    site.adapter("lora")
    team_set(plugins='deny = ["ft-adapter-lora"]\n')
    assert states(site)["ft-adapter-lora"] == ("denied", "denied by ft.toml:6")


def test_the_set_is_found_from_below(site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.adapter("lora")
    team_set()
    Path("deep").mkdir()
    monkeypatch.chdir("deep")
    assert states(site)["ft-adapter-lora"] == ("ok", "")


@pytest.mark.parametrize(
    "text", ["summary = ", "allow = 3\n", 'summary = "x"\nincludes = ["no"]\n']
)
def test_a_set_that_cannot_be_read_lets_nothing_in(site, text: str) -> None:
    site.adapter("lora")
    team_set(text)
    state, reason = states(site)["ft-adapter-lora"]
    assert state == "denied"
    assert reason.startswith("ft.toml:2: the set cannot be read: ")
    assert "ours.toml" in reason


def test_a_set_says_nothing_in_mode_open(site) -> None:
    site.adapter("vera")
    team_set()
    project('[env]\nset = "team/ours.toml"\n')
    assert states(site)["ft-adapter-vera"] == ("ok", "")


def test_the_machines_list_replaces_the_projects_set(site, tmp_path: Path) -> None:
    site.adapter("lora")
    site.adapter("vera")
    team_set()
    machine(tmp_path, '[plugins]\nallow = ["adapter:vera"]\n')
    assert {d: s for d, (s, _) in states(site).items()} == {
        "ft-adapter-lora": "denied",
        "ft-adapter-vera": "ok",
    }


@pytest.mark.parametrize("asker", ["machine", "project", "variable"])
@pytest.mark.parametrize("others", ["open", None])
def test_the_strictest_mode_holds(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asker: str, others: str | None
) -> None:
    def text(who: str) -> str:
        mode = "curated" if who == asker else others
        return f'[plugins]\nmode = "{mode}"\n' if mode else ""

    site.adapter("lora")
    project(text("project"))
    machine(tmp_path, text("machine"))
    variable = "curated" if asker == "variable" else others
    if variable:
        monkeypatch.setenv("FT_POLICY", variable)
    assert read_policy().mode == "curated"
    assert states(site)["ft-adapter-lora"][0] == "denied"


def test_an_unknown_mode_of_the_variable(site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FT_POLICY", "lax")
    with pytest.raises(InputError, match="FT_POLICY: 'lax' is no mode"):
        read_policy()


@pytest.mark.parametrize(
    ("plugins", "granted"),
    [
        ('mode = "open"\n', True),
        ('mode = "curated"\n', False),
        ('mode = "locked"\n', False),
        ('mode = "curated"\ngrants = ["pickled-weights"]\n', False),
        ('mode = "curated"\ngrants = ["trust-remote-code"]\n', True),
        ('mode = "locked"\ngrants = ["trust-remote-code"]\n', True),
    ],
)
def test_what_needs_leave(site, plugins: str, granted: bool) -> None:
    project(f"[plugins]\n{plugins}")
    if granted:
        read_policy().permit("trust-remote-code", "this")
        return
    with pytest.raises(InputError) as raised:
        read_policy().permit("trust-remote-code", "this", "recipe.yaml:3")
    assert raised.value.where == "recipe.yaml:3"
    assert "(ft.toml:2)" in raised.value.message
    assert raised.value.hint == (
        'to give it, write in ft.toml:\n    [plugins]\n    grants = ["trust-remote-code"]'
    )


def test_a_set_gives_leave(site) -> None:
    team_set(f'grants = ["trust-remote-code"]\n{TEAM}')
    read_policy().permit("trust-remote-code", "this")


def test_a_project_gives_no_leave_beside_the_machine(site, tmp_path: Path) -> None:
    machine(tmp_path, '[plugins]\nmode = "curated"\nallow = ["ft-*"]\n')
    project('[plugins]\ngrants = ["trust-remote-code"]\n')
    with pytest.raises(InputError, match=r"machine\.toml:2"):
        read_policy().permit("trust-remote-code", "this")


def test_a_range_that_is_none_lets_nothing_in(site) -> None:
    site.adapter("lora")
    team_set(TEAM.replace(">=0.1,<1", "about one"))
    assert states(site)["ft-adapter-lora"][0] == "denied"


@pytest.mark.parametrize(
    "rules", ['mode = "curated"', 'mode = "curated"\nallow = []', "allow = []"]
)
def test_a_lock_on_top_loosens_nothing(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str
) -> None:
    """The machine lets nothing in; a project's lock and the variable do not change that."""
    site.adapter("lora")
    machine(tmp_path, f"[plugins]\n{rules}\n")
    monkeypatch.setenv("FT_POLICY", "locked")
    state, reason = states(site)["ft-adapter-lora"]
    assert state == "denied"
    assert "permits what a set or an allow list names, and there is none" in reason
