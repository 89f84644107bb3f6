"""Kind ``dataset``: how one raw row becomes a canonical example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ft.api.examples import Example
from ft.api.plugin import Plugin, PluginOptions


class DatasetOptions(PluginOptions):
    """A format's options are the names of the columns that it reads."""


class Dataset(Plugin):
    """A data format.

    A subclass implements :func:`ft_align_row`, and lists in ``produces`` the example types
    that it can return. Reading files, counting rows, and placing errors is core's work.
    """

    kind = "dataset"
    Options = DatasetOptions
    produces: tuple[type[Example], ...] = ()
    example: Mapping[str, Any] = {}
    """One good row, shown in documentation and error messages."""
    aligned: Example | None = None
    """What ``example`` becomes."""
