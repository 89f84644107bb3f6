"""Kind ``command``: a further ``ft`` subcommand."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Command(Plugin):
    """Adds ``ft <name>``; implements :func:`ft_command`.

    The help line is the summary of the plugin's distribution, so that ``ft --help`` imports
    nothing.
    """

    kind = "command"
