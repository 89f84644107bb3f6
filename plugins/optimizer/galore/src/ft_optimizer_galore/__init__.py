"""GaLore (Zhao et al., 2024, arXiv:2403.03507)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ft.api import Field, LayerwiseOptimizer, LayerwiseOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch

    from ft_optimizer_galore.update import ProjectedAdam


class GaLore(LayerwiseOptimizer):
    """AdamW on gradients that are projected onto their largest singular directions.

    For training all weights with little state: the moments of an m by n matrix have rank times
    its longer side, and the directions, which are looked for anew every ``update_gap`` steps,
    rank times its shorter one. Embeddings, the output layer, vectors, and matrices with a side
    of at most ``rank`` are plain AdamW's.

    With ``layerwise`` each gradient is used in the backward pass and freed: the memory of
    gradients goes too, and with it accumulation, clipping by norm and more than one process.
    """

    paper = "arXiv:2403.03507"

    class Options(LayerwiseOptions):
        rank: int = Field(128, ge=1, description="directions that are kept of a gradient")
        update_gap: int = Field(200, ge=1, description="steps before directions are found anew")
        scale: float = Field(0.25, gt=0, description="factor of projected updates (alpha)")
        side: Literal["short", "long", "left", "right", "both"] = Field(
            "short", description="side of a matrix that is projected; left: that of its rows"
        )
        decomposition: Literal["sketch", "svd"] = Field(
            "sketch", description="how directions are found: nearly the largest, or exactly"
        )
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    samples = (
        {"rank": 4, "update_gap": 10},
        {"rank": 6, "update_gap": 10, "side": "both", "decomposition": "svd", "layerwise": True},
    )

    moment_bytes: ClassVar[float] = 4.0
    """Bytes of a number of a moment."""

    def bytes_per_parameter(self) -> float:
        rank, side = min(self.options.rank, 1024), self.options.side
        if rank == 1024:
            return 2 * self.moment_bytes
        moments = 2 * rank * (rank if side == "both" else 1024)
        found = rank * 1024 * (2 if side == "both" else 1)
        return (self.moment_bytes * moments + 4 * found) / 1024**2

    def projected_adam(self) -> type[ProjectedAdam]:
        """The class of the optimizer, which imports torch."""
        from ft_optimizer_galore.update import ProjectedAdam

        return ProjectedAdam

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        options = self.options
        projected: dict[str, Any] = {
            "rank": options.rank,
            "update_gap": options.update_gap,
            "scale": options.scale,
            "side": options.side,
            "decomposition": options.decomposition,
        }
        return self.projected_adam()(
            self.groups_by_matrix(run, **projected),
            in_backward=options.layerwise,
            lr=options.learning_rate,
            betas=options.betas,
            epsilon=options.epsilon,
            **dict.fromkeys(projected),
        )


optimizer = GaLore()
