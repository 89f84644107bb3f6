"""BAdam (Luo et al., 2024, arXiv:2404.02827)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ft.api import Capabilities, Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch


class Badam(Optimizer):
    """AdamW whose gradients and moments are those of one block at a time.

    For training all weights with the memory of one layer. In mode ``layer`` the layers take
    turns: the others are frozen, cost no gradient and have no state. In mode ``ratio`` all
    layers train, and AdamW updates ``ratio`` of each matrix's numbers, which lie side by side.
    After ``switch_every`` steps it is the next layer's turn, or another part's, with fresh
    moments.
    """

    paper = "arXiv:2404.02827"
    accepts = frozenset({"gradient-accumulation", "gradient-clipping"})
    provides = Optimizer.provides - {"whole-gradients"}

    class Options(OptimizerOptions):
        mode: Literal["layer", "ratio"] = Field(
            "layer", description="what takes turns: layers, or parts of all matrices"
        )
        switch_every: int = Field(50, ge=1, description="steps before it is the next one's turn")
        order: Literal["descending", "ascending", "random"] = Field(
            "descending", description="layer: the order of the layers; descending begins at the top"
        )
        embeddings: bool = Field(
            False, description="layer: whether embeddings and output layer have a turn"
        )
        ratio: float = Field(0.05, gt=0, le=1, description="ratio: share of each matrix at a time")
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")

    samples = ({"switch_every": 5}, {"mode": "ratio", "ratio": 0.25, "switch_every": 5})

    def bytes_per_parameter(self) -> float:
        """Of a parameter of the block whose turn it is; the others have no state."""
        return 8.0 if self.options.mode == "layer" else 8.0 * self.options.ratio

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.mode == "ratio":
            return said.also(accepts={"data-parallel"}, provides={"whole-gradients"})
        return said  # a process group expects a gradient of every weight that trained at first

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_badam.update import LayerAdam, PartAdam, layers_of

        options = self.options
        common = {"lr": options.learning_rate, "betas": options.betas, "epsilon": options.epsilon}
        groups = self.parameter_groups(run)
        if options.mode == "ratio":
            return PartAdam(
                groups,
                ratio=options.ratio,
                switch_every=options.switch_every,
                seed=run.seed,
                **common,
            )
        return LayerAdam(
            layers_of(run, groups, options.embeddings),
            switch_every=options.switch_every,
            order=options.order,
            seed=run.seed,
            **common,
        )


optimizer = Badam()
