"""Kind ``exporter``: the form in which a result leaves."""

from __future__ import annotations

from typing import ClassVar

from ft.api.plugin import Plugin


class Exporter(Plugin):
    """Writes a run's result in another form; implements :func:`ft_export`."""

    kind = "exporter"

    usual: ClassVar[bool] = False
    """Whether it is meant where several are installed and none is named."""
