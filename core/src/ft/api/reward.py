"""Kind ``reward``: a score for an answer."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Reward(Plugin):
    """Scores answers for online trainers; implements :func:`ft_score`."""

    kind = "reward"
    provides = frozenset({"rewards"})
