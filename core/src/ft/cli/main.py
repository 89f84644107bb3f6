"""``ft``: the command group, and the way out of every command.

A built-in command is a line of :data:`COMMANDS`; its module is imported when the command is
invoked, so that ``ft --help`` is as fast as an empty program. Command plugins are added from
installed metadata in the same way.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

import ft
from ft.cli.output import print_error
from ft.errors import FtError

if TYPE_CHECKING:
    from ft.plugins.index import Index
    from ft.plugins.record import Record

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("ft.cli.init:init", "Write a starter recipe for your model and data"),
    "check": ("ft.cli.check:check", "Say whether a recipe fits, before anything is loaded"),
    "plan": ("ft.cli.plan:plan", "Predict memory and speed, and find what is fastest"),
    "explain": ("ft.cli.explain:explain", "Show each value of a recipe and who set it"),
    "train": ("ft.cli.train:train", "Train as a recipe says"),
    "resume": ("ft.cli.train:resume", "Continue a run that was interrupted"),
    "chat": ("ft.cli.chat:chat", "Talk to a trained model"),
    "export": ("ft.cli.export:export", "Write a run's result in the form that serves it"),
    "data": ("ft.cli.data:data", "Look at data as a run would see it"),
    "matrix": ("ft.cli.matrix:matrix", "Show which plugins go together, and why not"),
    "schema": ("ft.cli.schema:schema", "Print the JSON schema of recipes"),
    "plugins": ("ft.cli.plugins:plugins", "Find, install, list and try out plugins"),
    "env": ("ft.cli.env:env", "Describe this machine; lock and verify its packages"),
}
"""Name → where the click command is, and its line in ``ft --help``."""


class FtGroup(click.Group):
    """The ``ft`` group: imports a command when it is asked for, and no sooner."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *_of_plugins(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS:
            import importlib

            module, _, attribute = COMMANDS[name][0].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name in _of_plugins(ctx):
            from ft.plugins.load import load

            plugin = load(_index(ctx).find("command", name)).bind(name)
            return plugin.ft_command()  # type: ignore[attr-defined]
        if ctx.resilient_parsing:
            return None
        from difflib import get_close_matches

        close = get_close_matches(name, self.list_commands(ctx), 1)
        more = f"Did you mean {close[0]!r}?" if close else "ft --help lists what is installed."
        raise click.UsageError(f"No such command {name!r}. {more}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        try:
            records = _of_plugins(ctx)
        except FtError as error:  # a damaged ft.toml must not take the help away
            formatter.write_paragraph()
            formatter.write_text(f"Commands of plugins are not shown: {error}")
            return
        if records:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [
                        (name, r.summary if r.state == "ok" else f"({r.state}: {r.reason})")
                        for name, r in records.items()
                    ]
                )


def _index(ctx: click.Context) -> Index:
    """The installed plugins, read once for each command line."""
    from ft.plugins.policy import installed_index

    if "ft.index" not in ctx.meta:
        ctx.meta["ft.index"] = installed_index()
    return ctx.meta["ft.index"]


def _of_plugins(ctx: click.Context) -> dict[str, Record]:
    """The command plugins by name; names of built-in commands are taken."""
    return {
        record.name: record
        for record in _index(ctx).records
        if record.kind == "command"
        and record.name not in COMMANDS
        and record.state not in ("denied", "shadowed")
    }


@click.command(cls=FtGroup)
@click.version_option(ft.__version__, prog_name="ft")
def cli() -> None:
    """Fine-tune language models; every part of a run is a plugin.

    Start with: ft init, ft check, ft train recipe.yaml.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``ft`` and return its exit code: 0 done, 1 failed, 2 the input was wrong.

    A command may return an exit code; whatever else it returns counts as done. With
    ``FT_TRACEBACK=1`` every error comes with its traceback.
    """
    try:
        result = cli.main(arguments, prog_name="ft", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 1
    except FtError as error:
        _show_traceback()
        print_error(error)
        return error.exit_code
    except Exception as error:
        print_error(_defect(error))
        return 1
    return result if type(result) is int else 0


def _show_traceback() -> bool:
    shown = os.environ.get("FT_TRACEBACK", "0") not in ("", "0")
    if shown:
        traceback.print_exc()
    return shown


def _defect(error: Exception) -> FtError:
    """What to tell of an error that nobody foresaw; its traceback goes to a file."""
    message = f"{type(error).__name__}: {error}".rstrip(": ")
    what = "this is a defect in ft or in a plugin"
    if _show_traceback():
        return FtError(message, hint=what)

    from ft.plugins.health import cache_dir

    file = cache_dir() / "traceback.txt"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return FtError(message, hint=f"{what}; FT_TRACEBACK=1 shows the traceback")
    return FtError(message, hint=f"{what}; its traceback: {file}\n  (FT_TRACEBACK=1 shows it here)")
