"""The reference command: it greets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Command, hookimpl

if TYPE_CHECKING:
    import click


class Greet(Command):
    """Adds a command with one argument and one option."""

    @hookimpl
    def ft_command(self) -> click.Command:
        import click

        @click.command()
        @click.argument("name", default="you")
        @click.option("--times", default=1, show_default=True, help="How often to say it.")
        def greet(name: str, times: int) -> None:
            """Greet somebody."""
            for _ in range(times):
                click.echo(f"hello {name}")

        return greet


command = Greet()
