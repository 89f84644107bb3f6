"""Commands that are broken in one way."""

from __future__ import annotations

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.command import Greet


@mutant("command.gives-a-command")
class SaysNothingOfItself(Greet):
    """Has no help text."""

    @hookimpl
    def ft_command(self):
        command = super().ft_command()
        command.help = None
        return command


@mutant("command.gives-a-command")
class OptionWithoutHelp(Greet):
    """Has an option that nobody explains."""

    @hookimpl
    def ft_command(self):
        import click

        command = super().ft_command()
        command.params.append(click.Option(["--loud"], is_flag=True))
        return command


@mutant("command.help-is-light")
class ImportsTorch(Greet):
    """Imports torch to say what it can do."""

    @hookimpl
    def ft_command(self):
        import torch  # noqa: F401

        return super().ft_command()


@mutant("command.its-name-is-free")
def train():
    """Is called as a command of ft."""
    return type("Train", (Greet,), {"__module__": __name__})()
