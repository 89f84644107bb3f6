"""``ft plugins search|suggest|add|remove`` on a made site with a made registry."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ft.registry import read

LISTED = [
    {
        "distribution": "ft-adapter-dora",
        "summary": "Weight-decomposed updates",
        "plugins": [{"kind": "adapter", "name": "dora", "papers": ["arXiv:2402.09353"]}],
    },
    {"distribution": "ft-adapter-lora", "plugins": [{"kind": "adapter", "name": "lora"}]},
]


@pytest.fixture
def ft(site, ft, monkeypatch: pytest.MonkeyPatch):
    """Commands see the registries of the site alone; ``lora`` is installed, ``dora`` listed."""
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
        "  name  installed  listed by    summary",
        "adapter",
        "  dora  -          ft-registry  Weight-decomposed updates",
        "  lora  0.1.0      ft-registry  Low-rank updates",
        "",
        "to install one: ft plugins add adapter:dora",
    ]
    rows = json.loads(ft("plugins", "search", "updates", "--json").out)
    assert [(row["name"], row["installed"], row["state"]) for row in rows] == [
        ("dora", None, None),
        ("lora", "0.1.0", "ok"),
    ]
    assert rows[0]["papers"] == ["arXiv:2402.09353"]
    assert rows[0]["registries"] == ["ft-registry: first-party.json"]
    result = ft("plugins", "search", "nonsense")
    assert (result.code, result.out) == (0, "No plugin mentions 'nonsense'.\n")


def test_suggest(ft) -> None:
    Path("recipe.yaml").write_text("adapter: dora\ntrackers: [gone]\n")
    out = ft("plugins", "suggest", "recipe.yaml").out
    assert out.splitlines() == [
        "adapter:dora  (recipe.yaml:1)",
        "  adapter:dora  ft-adapter-dora  not installed",
        "tracker:gone  (recipe.yaml:2)",
        "  no plugin that is installed or published",
        "",
        "to install what is missing: ft plugins add ft-adapter-dora",
    ]
    found = json.loads(ft("plugins", "suggest", "recipe.yaml", "--json").out)
    assert found["command"] == "ft plugins add ft-adapter-dora"
    assert [(need["need"], need["met"]) for need in found["needs"]] == [
        ("adapter:dora", False),
        ("tracker:gone", False),
    ]


def test_add_prints_and_runs_the_installer(ft, commands, tmp_path: Path) -> None:
    result = ft("plugins", "add", "adapter:dora", "--dry-run")
    (command,) = commands
    assert command[-2:] == ["--dry-run", "ft-adapter-dora"]
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


def test_remove(ft, commands) -> None:
    assert ft("plugins", "remove", "adapter:lora", "--dry-run").out.endswith("ft-adapter-lora\n")
    assert commands == []
    assert ft("plugins", "remove", "adapter:lora").code == 0
    assert commands[0][-1] == "ft-adapter-lora"


def test_an_uninstalled_plugin_of_a_recipe_is_told_with_where_to_get_it(site, ft) -> None:
    result = ft("plugins", "info", "adapter:dora")
    assert result.code == 2
    assert (
        "ft-adapter-dora (ft-registry: first-party.json) provides it: ft plugins add adapter:dora"
    ) in result.err
    assert "no registry lists it" in ft("plugins", "info", "adapter:gone").err


def test_a_registry_that_cannot_be_read_hides_nothing(site, ft) -> None:
    site.registry("acme-registry", {"plugins/a.toml": "distribution = 1"})
    assert ft("plugins", "list").code == 0
    result = ft("plugins", "info", "adapter:dora")
    assert result.code == 2
    assert "no adapter 'dora' is installed" in result.err
    assert "acme-registry: plugins/a.toml" in result.err
    result = ft("plugins", "search", "dora")
    assert result.code == 2
    assert "acme-registry: plugins/a.toml" in result.err


def test_searching_imports_nothing_heavy(site, ft, python) -> None:
    (site.path / "ft_registry" / "__init__.py").write_text("raise SystemExit('imported')")
    said = python(
        "import sys\nfrom ft.cli import main\nmain(['plugins', 'search', 'lora'])\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'packaging', 'ft_registry'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    assert said.splitlines()[-1] == "[]"
