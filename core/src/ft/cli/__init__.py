"""The command line. Commands are imported when they are invoked; see :mod:`ft.cli.main`."""

from ft.cli.main import main

__all__ = ["main"]
