"""``ft plugins search|suggest|add|remove`` on a made site with a made registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ft.conformance.report import digest_of
from ft.plugins.record import Record
from ft.registry import read

LISTED = [
    {
        "distribution": "ft-adapter-zora",
        "summary": "Weight-decomposed updates",
        "plugins": [{"kind": "adapter", "name": "zora", "papers": ["arXiv:2402.09353"]}],
    },
    {
        "distribution": "ft-adapter-lora",
        "plugins": [{"kind": "adapter", "name": "lora"}],
        "proofs": [
            {"version": "0.0.9", "level": 1, "kit": "0.9", "wheel": f"sha256:{'0' * 64}"},
            {"version": "0.1.0", "level": 2, "kit": "1.0", "wheel": f"sha256:{'1' * 64}"},
        ],
    },
]


@pytest.fixture
def ft(site, ft, monkeypatch: pytest.MonkeyPatch):
    """Commands see the registries of the site alone; ``lora`` is installed, ``zora`` only listed
    (there is no such plugin, and so none in the environment of the tests).
    """
    every = read.read_registries
    monkeypatch.setattr(read, "read_registries", lambda: every([str(site.path)]))
    site.adapter("lora", summary="Low-rank updates")
    site.registry("ft-registry", {"first-party.json": json.dumps(LISTED)})
    return ft


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would be run, and are not."""
    ran: list[list[str]] = []

    def run(command, check):
        ran.append(command)
        return subprocess.CompletedProcess(command, int("ft-adapter-mine" in command))

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_search(ft) -> None:
    assert ft("plugins", "search", "updates").out.splitlines() == [
        "  name  installed  level  listed by    summary",
        "adapter",
        "  lora  0.1.0      L2     ft-registry  Low-rank updates",
        "  zora  -          -      ft-registry  Weight-decomposed updates",
        "",
        "to install one: ft plugins add adapter:zora",
    ]
    rows = json.loads(ft("plugins", "search", "updates", "--json").out)
    assert [(row["name"], row["installed"], row["state"]) for row in rows] == [
        ("lora", "0.1.0", "ok"),
        ("zora", None, None),
    ]
    assert rows[1]["papers"] == ["arXiv:2402.09353"]
    assert [(p["version"], p["level"], p["kit"]) for p in rows[0]["proofs"]] == [
        ("0.0.9", 1, "0.9"),
        ("0.1.0", 2, "1.0"),
    ]
    assert rows[1]["registries"] == ["ft-registry: first-party.json"]
    result = ft("plugins", "search", "nonsense")
    assert (result.code, result.out) == (0, "No plugin mentions 'nonsense'.\n")


def test_info_says_whether_the_wheel_that_was_proved_is_the_one_here(site, ft) -> None:
    (info,) = site.path.glob("ft_adapter_lora-*.dist-info")
    (info / "RECORD").write_text("made_lora.py,sha256=aaaa,10\n")
    listed = json.loads(json.dumps(LISTED))
    record = Record("adapter", "lora", "ft-adapter-lora", "0.1.0", location=str(info))
    listed[1]["proofs"][1]["files"] = f"sha256:{digest_of(record)}"
    (site.path / "ft_registry" / "first-party.json").write_text(json.dumps(listed))
    said = " ".join(ft("plugins", "info", "adapter:lora").out.split())
    place = "(ft-registry: first-party.json)"
    assert f"recorded: L1 by kit 0.9 for 0.0.9, files other than these {place}" in said
    assert f"recorded: L2 by kit 1.0 for 0.1.0, these files {place}" in said
    proofs = json.loads(ft("plugins", "info", "adapter:lora", "--json").out)["proofs"]
    assert [proof["here"] for proof in proofs] == [False, True]
    (info / "RECORD").write_text("made_lora.py,sha256=bbbb,10\n")
    proofs = json.loads(ft("plugins", "info", "adapter:lora", "--json").out)["proofs"]
    assert [proof["here"] for proof in proofs] == [False, False]


def test_suggest(ft) -> None:
    Path("recipe.yaml").write_text("adapter: zora\ntrackers: [gone]\n")
    out = ft("plugins", "suggest", "recipe.yaml").out
    assert out.splitlines() == [
        "adapter:zora  (recipe.yaml:1)",
        "  adapter:zora  ft-adapter-zora  not installed",
        "tracker:gone  (recipe.yaml:2)",
        "  no plugin that is installed or published",
        "",
        "to install what is missing: ft plugins add ft-adapter-zora",
    ]
    found = json.loads(ft("plugins", "suggest", "recipe.yaml", "--json").out)
    assert found["command"] == "ft plugins add ft-adapter-zora"
    assert [(need["need"], need["met"]) for need in found["needs"]] == [
        ("adapter:zora", False),
        ("tracker:gone", False),
    ]


def test_add_prints_and_runs_the_installer(ft, commands, tmp_path: Path) -> None:
    result = ft("plugins", "add", "adapter:zora", "--dry-run")
    (command,) = commands
    assert command[-2:] == ["--dry-run", "ft-adapter-zora"]
    assert " ".join(command) in result.err
    file = Path(command[command.index("--constraint") + 1])
    assert "torch==" in file.read_text()
    assert file.is_relative_to(tmp_path / "cache")


def test_what_the_installer_fails_at_fails(ft, commands) -> None:
    result = ft("plugins", "add", "ft-adapter-mine", "--unlisted")
    assert result.code == 1
    assert "ended with exit code 1" in result.err


def test_a_lookalike_is_refused_before_anything_runs(ft, commands) -> None:
    result = ft("plugins", "add", "ft-adapter-Iora")
    assert result.code == 2
    assert "looks like ft-adapter-lora" in result.err
    assert commands == []


def test_remove(site, ft, commands) -> None:
    site.adapter("spare")
    assert ft("plugins", "remove", "adapter:spare", "--dry-run").out.endswith("ft-adapter-spare\n")
    assert commands == []
    assert ft("plugins", "remove", "adapter:spare").code == 0
    assert commands[0][-1] == "ft-adapter-spare"


def test_an_uninstalled_plugin_of_a_recipe_is_told_with_where_to_get_it(site, ft) -> None:
    result = ft("plugins", "info", "adapter:zora")
    assert result.code == 2
    assert (
        "ft-adapter-zora (ft-registry: first-party.json) provides it: ft plugins add adapter:zora"
    ) in result.err
    assert "no registry lists it" in ft("plugins", "info", "adapter:gone").err


def test_a_registry_that_cannot_be_read_hides_nothing(site, ft) -> None:
    site.registry("acme-registry", {"plugins/a.json": '{"distribution": 1}'})
    assert ft("plugins", "list").code == 0
    result = ft("plugins", "info", "adapter:lora")
    assert result.code == 0
    assert "acme-registry: plugins/a.json" in result.err
    result = ft("plugins", "info", "adapter:zora")
    assert result.code == 2
    assert "no adapter 'zora' is installed" in result.err
    assert "acme-registry: plugins/a.json" in result.err
    result = ft("plugins", "search", "zora")
    assert result.code == 2
    assert "acme-registry: plugins/a.json" in result.err


def test_searching_imports_nothing_heavy(site, ft, python) -> None:
    (site.path / "ft_registry" / "__init__.py").write_text("raise SystemExit('imported')")
    said = python(
        "import sys\nfrom ft.cli import main\nmain(['plugins', 'search', 'lora'])\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'packaging', 'ft_registry'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    assert said.splitlines()[-1] == "[]"
