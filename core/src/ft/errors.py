"""The errors that ft raises on purpose.

Each carries what is wrong, where, and what to do; the command line prints the three without
a traceback and leaves with ``exit_code``. Anything else that escapes is a defect in ft or in
a plugin.
"""

from __future__ import annotations


class FtError(Exception):
    """A failure that ft understands.

    ``message`` says what is wrong, ``where`` the place (``file:line``, ``file row 7``, a
    plugin's name), ``hint`` what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.hint}" if self.hint else text


class InputError(FtError):
    """The user's recipe, data, checkpoint or command line is wrong (exit code 2)."""

    exit_code = 2


class RunError(FtError):
    """The input was fine and the run failed all the same (exit code 1)."""


class PluginError(FtError):
    """A plugin broke its contract or could not be loaded; ``plugin`` is ``kind:name``."""

    def __init__(
        self, plugin: str, message: str, *, where: str | None = None, hint: str | None = None
    ):
        super().__init__(f"plugin {plugin}: {message}", where=where, hint=hint)
        self.plugin = plugin


class RowError(InputError):
    """One row of a data file is wrong.

    A dataset plugin raises it with the ``field`` at fault (a path such as
    ``messages[2].role``); the reader adds the file and the row number.
    """

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.field = field
