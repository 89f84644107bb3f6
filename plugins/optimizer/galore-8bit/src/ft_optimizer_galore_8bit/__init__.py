"""8-bit GaLore (Zhao et al., 2024, arXiv:2403.03507)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft_optimizer_galore import GaLore

if TYPE_CHECKING:
    from ft_optimizer_galore.update import ProjectedAdam


class GaLore8bit(GaLore):
    """GaLore whose moments have 8 bits, with a scale for each 256 of them.

    For training all the weights of 7 billion on a card of 24 GB, together with ``layerwise``.
    Embeddings and the output layer are 8-bit Adam's. Moments of less than 4,096 numbers keep
    32 bits. All else is as with ``galore``.
    """

    moment_bytes = 1 + 4 / 256

    samples = (
        {"rank": 4, "update_gap": 10},
        {"rank": 6, "update_gap": 10, "side": "both", "layerwise": True},
    )

    def projected_adam(self) -> type[ProjectedAdam]:
        from ft_optimizer_galore_8bit.update import ProjectedAdam8bit

        return ProjectedAdam8bit


optimizer = GaLore8bit()
