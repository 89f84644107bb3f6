"""The pages are true: their commands run, their recipes and plugins load, their names exist."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import jsonschema
import pytest
import tiny
import yaml
from checkout import ROOT

import ft.api
from ft.api import hookspecs
from ft.cli.main import COMMANDS, cli, main
from ft.conformance.checks.listed import LEADS_TO
from ft.kinds import KINDS
from ft.plugins.policy import installed_index
from ft.plugins.policy_file import parse_rules
from ft.plugins.record import Record, State
from ft.recipe.document import parse_yaml
from ft.recipe.keys import TOP_KEYS
from ft.recipe.schema import recipe_schema

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        yield Block(match[1], match[2])


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def spans(page: Path) -> list[str]:
    """What stands in backticks outside of blocks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def command_lines(page: Path) -> list[list[str]]:
    """The ``$ ft …`` lines of a page's console blocks, split as a shell does."""
    import shlex

    return [
        shlex.split(line.removeprefix("$ ft "))
        for block in blocks(page)
        if block.language == "console"
        for line in block.text.splitlines()
        if line.startswith("$ ft ")
    ]


# -- names -------------------------------------------------------------------------------------


def command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The click command that ``words`` begin with, and what follows it."""
    found: click.Command = cli
    rest = list(words)
    with click.Context(cli) as context:
        while rest and isinstance(found, click.Group):
            child = found.get_command(context, rest[0])
            assert child, f"there is no command {rest[0]}"
            found = child
            rest.pop(0)
    return found, rest


def options_of(found: click.Command) -> set[str]:
    named = {o for p in found.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    return {option for option in named if option.startswith("-")}


@pages
def test_commands_and_options_exist(page: Path) -> None:
    mentioned = [s.split()[1:] for s in spans(page) if re.match(r"ft [a-z]", s)]
    for words in [*mentioned, *command_lines(page)]:
        found, rest = command([word for word in words if word])
        given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert given <= options_of(found), words


@pages
def test_options_named_alone_belong_to_some_command(page: Path) -> None:
    if page.name == "CONTRIBUTING.md":
        return
    every = {option for name in all_commands() for option in options_of(command(name)[0])}
    assert {s for s in spans(page) if re.fullmatch(r"--[a-z-]+", s)} <= every


def all_commands() -> list[list[str]]:
    out = []
    for name in COMMANDS:
        found, _ = command([name])
        subs = list(found.commands) if isinstance(found, click.Group) else []
        out += [[name, sub] for sub in subs] or [[name]]
    return out


@pytest.mark.parametrize("name", all_commands(), ids=" ".join)
def test_the_command_page_has_every_command_and_option(name: list[str]) -> None:
    text = (ROOT / "docs/cli.md").read_text("utf-8")
    assert f"`ft {' '.join(name)}" in text
    missing = {o for o in options_of(command(name)[0]) if o.startswith("--")} - {"--help"}
    assert {option for option in missing if f"`{option}`" not in text} == set()


def test_the_recipe_page_has_every_key() -> None:
    page = ROOT / "docs/recipe.md"
    assert set(TOP_KEYS) <= set(spans(page))


def test_the_plugin_page_has_every_kind_base_class_match_group_and_state() -> None:
    named = set(spans(ROOT / "docs/plugins.md"))
    classes = {
        value.__name__
        for value in vars(ft.api).values()
        if isinstance(value, type) and vars(value).get("kind") in KINDS
    }
    assert len(classes) == len(KINDS)
    assert classes <= named
    assert {f"ft.match.{group}" for group in LEADS_TO} <= named
    assert set(State.__args__) <= named  # type: ignore[attr-defined]
    assert Record.__doc__


@pages
def test_hooks_and_modules_exist(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(r"ft_[a-z_]+", span):
            assert hasattr(hookspecs, span), span
        elif match := re.fullmatch(r"(ft(?:\.[a-z_]+)+)(?:\.([A-Z]\w+))?", span):
            if match[1].startswith(("ft.match", "ft.toml", "ft.lock", "ft.adapter")):
                continue
            assert hasattr(importlib.import_module(match[1]), match[2] or "__name__"), span


@pages
def test_plugins_that_are_named_with_their_kind_exist(page: Path) -> None:
    for span in spans(page):
        if (match := re.search(r"\b([a-z]+):([a-z0-9-]+)\b", span)) and match[1] in KINDS:
            assert installed_index().claims(match[1], match[2]), span


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


@pages
def test_make_targets_and_paths_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for span in spans(page):
        if span.startswith("make "):
            assert span.split()[1] in targets, span
        elif re.fullmatch(r"(core|docs|plugins|templates|tests|contrib)/[\w./-]*", span):
            assert (ROOT / span).exists(), span


# -- blocks ------------------------------------------------------------------------------------


@pages
def test_recipes_are_valid(page: Path) -> None:
    schema = recipe_schema(installed_index())
    del schema["required"]  # a page may show a part of a recipe
    for block in blocks(page):
        if block.language == "yaml":
            jsonschema.validate(parse_yaml(block.text, None, page.name).plain(), schema)


@pages
def test_policies_and_python_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, page.name, "exec"), {"__name__": "page"})
        elif block.language == "toml" and "[plugins]" in block.text:
            file = tmp_path / "ft.toml"
            file.write_text(block.text, encoding="utf-8")
            assert parse_rules(file).mode


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_tiny(tmp_path_factory.mktemp("tiny") / "model", "smollm2", "llama")


@pytest.fixture
def desk(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with what the pages take for granted: a model, rows, a recipe."""
    shutil.copytree(model, tmp_path / "HuggingFaceTB/SmolLM2-135M-Instruct")
    said = [("Who are you?", "I am a small model."), ("What is one and two?", "It is three.")]
    for name in ("train.jsonl", "more.jsonl"):
        rows = [
            {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
            for q, a in said * 10
        ]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    first = next(b.text for b in blocks(ROOT / "README.md") if b.language == "yaml")
    recipe = yaml.safe_load(first)
    recipe["trainer"]["max_length"] = 128
    recipe["device"] = "cpu"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if command_lines(p)], ids=lambda p: p.name)
def test_the_commands_of_a_page_run(
    page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One after another, as a reader would type them; a conversation ends at once."""
    for words in command_lines(page):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Who are you?\n/exit\n"))
        code = main(words)
        assert code == 0, f"ft {' '.join(words)}\n{capsys.readouterr()}"


# -- the plugin of the README --------------------------------------------------------------------


def test_the_readmes_plugin_is_built_installed_and_trained(desk: Path) -> None:
    found = {b.language: b.text for b in blocks(ROOT / "README.md")}
    assert len([line for line in found["python"].splitlines() if line]) <= 15
    project = tomllib.loads(found["toml"])
    point = project["project"]["entry-points"]["ft.adapter"]
    module = point["norms"].partition(":")[0]
    source = desk / "plugin" / "src" / module / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text(found["python"], encoding="utf-8")
    (desk / "plugin" / "pyproject.toml").write_text(found["toml"], encoding="utf-8")

    uv = Path(sys.executable).with_name("uv")
    build = [uv, "build", "--quiet", "--offline", "--wheel", "--out-dir", desk, desk / "plugin"]
    subprocess.run(build, check=True)
    (wheel,) = desk.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(desk / "site")

    path = os.pathsep.join(filter(None, [str(desk / "site"), os.environ.get("PYTHONPATH")]))

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ft", *words],
            env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(run("plugins", "list", "--kind", "adapter", "--json"))
    assert ("ft-adapter-norms", "ok") in {(row["distribution"], row["state"]) for row in listed}
    assert "norms" in run("matrix", "--kinds", "trainer,adapter")
    settings = ["adapter=norms", "optimizer.learning_rate=0.05", "output=runs/norms"]
    run("train", "recipe.yaml", *settings)
    lines = (desk / "runs/norms/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < losses[0]
    assert "adapter:norms  L2 correct" in run("plugins", "test", "adapter:norms")
