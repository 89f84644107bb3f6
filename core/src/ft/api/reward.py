"""Kind ``reward``: a score for an answer."""

from __future__ import annotations

from pydantic import Field

from ft.api.plugin import Plugin, PluginOptions


class RewardOptions(PluginOptions):
    """What every reward understands; the trainer adds scores up by weight."""

    weight: float = Field(1.0, description="factor of this reward among several")


class Reward(Plugin):
    """Scores answers for online trainers; implements :func:`ft_score`."""

    kind = "reward"
    Options = RewardOptions
    provides = frozenset({"rewards"})
