"""The group: lazy commands, command plugins, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ft.cli.main import COMMANDS, cli
from ft.errors import InputError, PluginError, RunError

COMMAND = """
import click
from ft.api import Command, hookimpl

@click.command()
@click.option("--code", default=0)
def board(code):
    print("the board")
    raise SystemExit(code) if code else None

class Board(Command):
    @hookimpl
    def ft_command(self):
        return board

plugin = Board()
"""


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"], ["plugins", "--help"]])
def test_nothing_heavy_is_imported(site, python, arguments: list[str]) -> None:
    site.adapter("lora")
    site.add("ft-command-board", {"command:board": "ft_command_board:plugin"}, COMMAND)
    loaded = python(
        "import sys\nfrom ft.cli import main\n"
        f"main({arguments!r})\n"
        "print(*(n for n in sys.modules if '.' not in n), file=sys.stdout)"
    ).splitlines()[-1]
    heavy = {"torch", "transformers", "pydantic", "numpy", "rich", "yaml"}
    assert not heavy & set(loaded.split())
    assert "made_lora" not in loaded
    assert "ft_command_board" not in loaded


def test_help_names_every_command(ft) -> None:
    result = ft("--help")
    assert result.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", result.out, re.MULTILINE)


def test_version(ft) -> None:
    assert ft("--version").out == "ft, version 0.1.0\n"


def test_a_command_plugin_is_in_the_help_and_works(site, ft) -> None:
    site.add(
        "ft-command-board",
        {"command:board": "ft_command_board:plugin"},
        COMMAND,
        summary="A web board",
    )
    assert re.search(r"^  board +A web board$", ft("--help").out, re.MULTILINE)
    assert ft("board").out == "the board\n"
    with pytest.raises(SystemExit):
        ft("board", "--code", "3")


def test_a_broken_command_plugin_says_so(site, ft) -> None:
    site.add("ft-command-bad", {"command:bad": "ft_command_bad:plugin"}, "import sys; sys.exit(0)")
    result = ft("bad")
    assert result.code == 1
    assert "error: ft-command-bad 0.1.0: plugin command:bad: calls sys.exit(0)" in result.err
    assert "(broken: calls" in ft("--help").out.replace("\n", " ")


def test_a_denied_command_plugin_does_not_exist(site, ft) -> None:
    site.add("ft-command-bad", {"command:bad": "ft_command_bad:plugin"}, "1 / 0")
    Path("ft.toml").write_text('[plugins]\ndeny = ["command:*"]\n')
    assert "bad" not in ft("--help").out
    assert ft("bad").code == 2


def test_a_plugin_cannot_replace_a_built_in(site, ft) -> None:
    site.add("acme", {"command:plugins": "acme:plugin"}, "1 / 0")
    assert ft("plugins", "list").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["boadr"], "Did you mean 'board'?"),
        (["zzzzz"], "ft --help lists"),
        (["plugins", "lst"], "No such command 'lst'"),
        (["--nope"], "No such option"),
        (["plugins", "list", "--state", "fine"], "is not one of"),
        (["plugins", "info"], "Missing argument"),
    ],
)
def test_usage_errors(site, ft, arguments: list[str], message: str) -> None:
    site.add("ft-command-board", {"command:board": "ft_command_board:plugin"}, COMMAND)
    result = ft(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (
            InputError("is wrong", where="a.yaml:3", hint="fix it"),
            2,
            "a.yaml:3: is wrong\n  fix it",
        ),
        (RunError("did not work"), 1, "did not work"),
        (PluginError("adapter:x", "broke"), 1, "plugin adapter:x: broke"),
    ],
)
def test_errors_on_purpose(ft, monkeypatch, error: Exception, code: int, printed: str) -> None:
    monkeypatch.setattr(cli, "main", raising(error))
    result = ft("train")
    assert (result.code, result.out, result.err) == (code, "", f"error: {printed}\n")


def test_an_unforeseen_error_leaves_its_traceback_in_a_file(ft, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(cli, "main", raising(ZeroDivisionError("by zero")))
    result = ft("train")
    assert result.code == 1
    assert result.err.startswith("error: ZeroDivisionError: by zero\n")
    assert "Traceback" not in result.err
    file = tmp_path / "cache" / "traceback.txt"
    assert str(file) in result.err
    assert "Traceback" in file.read_text()


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), InputError("x")])
def test_the_traceback_on_request(ft, monkeypatch, error: Exception) -> None:
    monkeypatch.setattr(cli, "main", raising(error))
    monkeypatch.setenv("FT_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in ft("train").err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt(ft, monkeypatch, error: BaseException) -> None:
    monkeypatch.setattr(cli, "main", raising(error))
    result = ft("train")
    assert (result.code, result.err) == (1, "interrupted\n")


@pytest.mark.parametrize(("value", "code"), [(None, 0), (3, 3), (True, 0), ("text", 0)])
def test_what_a_command_returns(ft, monkeypatch, value: object, code: int) -> None:
    monkeypatch.setattr(cli, "main", lambda *_, **__: value)
    assert ft("train").code == code


def test_a_damaged_policy_leaves_the_help(ft) -> None:
    Path("ft.toml").write_text("[plugins]\nallow = 3\n")
    result = ft("--help")
    assert result.code == 0
    assert "ft.toml:2" in result.out
    assert ft("plugins", "list").code == 2


def raising(error: BaseException):
    def run(*_: object, **__: object) -> None:
        raise error

    return run
