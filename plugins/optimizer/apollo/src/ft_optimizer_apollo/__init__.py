"""APOLLO and APOLLO-Mini (Zhu et al., 2024, arXiv:2412.05270)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, LayerwiseOptimizer, LayerwiseOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Apollo(LayerwiseOptimizer):
    """Gradient steps whose size AdamW finds, for each channel, in a small random projection.

    For training all weights with little state: the moments of an m by n matrix have ``rank``
    times its longer side. The projection is drawn from a seed whenever it is needed, every
    ``update_gap`` steps from another one; there is no singular value decomposition. Embeddings,
    the output layer, vectors, and matrices with a side of at most ``rank`` are plain AdamW's.

    With ``layerwise`` each gradient is used in the backward pass and freed: the memory of
    gradients goes too, and with it accumulation, clipping by norm and more than one process.
    """

    paper = "arXiv:2412.05270"

    class Options(LayerwiseOptions):
        rank: int = Field(256, ge=1, description="rows of the projected gradient")
        update_gap: int = Field(200, ge=1, description="steps before the projection is another")
        scale: float = Field(1.0, gt=0, description="factor of scaled gradients (alpha)")
        growth_limit: float = Field(
            1.01, gt=1, description="how far a scaled gradient's norm may grow in a step"
        )
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    samples = ({"rank": 4, "update_gap": 10}, {"rank": 4, "layerwise": True})

    tensor_wise: ClassVar[bool] = False
    """Whether a matrix has one step size rather than one for each channel."""

    def bytes_per_parameter(self) -> float:
        return 4 * 2 * min(self.options.rank, 1024) * 1024 / 1024**2

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_apollo.update import ScaledDescent

        options = self.options
        scaled: dict[str, Any] = {
            "rank": options.rank,
            "update_gap": options.update_gap,
            "scale": options.scale,
            "growth_limit": options.growth_limit,
            "tensor_wise": self.tensor_wise,
            "seed": run.seed,
        }
        return ScaledDescent(
            self.groups_by_matrix(run, **scaled),
            in_backward=options.layerwise,
            lr=options.learning_rate,
            betas=options.betas,
            epsilon=options.epsilon,
            **dict.fromkeys(scaled),
        )


class ApolloMini(Apollo):
    """APOLLO with one step size for each matrix, found in a projection onto a single direction.

    The memory of plain SGD. All else is as with ``apollo``.
    """

    class Options(Apollo.Options):
        rank: int = Field(1, ge=1, description="rows of the projected gradient")
        scale: float = Field(
            round(128**0.5, 4), gt=0, description="factor of scaled gradients (alpha)"
        )

    samples = ({}, {"layerwise": True})
    tensor_wise = True


optimizer = Apollo()
mini = ApolloMini()
