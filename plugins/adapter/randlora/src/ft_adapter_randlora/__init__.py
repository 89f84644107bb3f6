"""RandLoRA (Albert et al., 2025, arXiv:2502.00987)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ft.api import Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import nn


class RandLora(PeftAdapter):
    """RandLoRA: W + scale * the sum of B_i diag(l_i) A_i diag(g_i) over random, frozen A and B.

    Only the diagonals train. The update has full rank with as many parameters as LoRA; A and B
    are shared by all layers and follow from the run's seed. A smaller rank means more terms of
    the sum, and more parameters.
    """

    method = "RANDLORA"
    paper = "arXiv:2502.00987"

    class Options(LayerOptions):
        rank: int = Field(32, gt=0, description="rank of each term of the sum")
        alpha: float | None = Field(None, gt=0, description="scale; unset: 20 times the rank")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A")
        basis: Literal["uniform", "sparse", "very-sparse"] = Field(
            "uniform",
            description="entries of A and B: uniform numbers, or few that are -1 or 1 among zeros",
        )
        save_projection: bool = Field(
            True,
            description="save A and B too; without them the file is small and loads where the same "
            "seed gives the same random numbers",
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "alpha": "randlora_alpha",
            "dropout": "randlora_dropout",
            "save_projection": "save_projection",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        options = self.options
        return super().settings(run, model) | {
            "randlora_alpha": options.alpha or 20 * options.rank,
            "sparse": options.basis == "sparse",
            "very_sparse": options.basis == "very-sparse",
            "projection_prng_key": run.seed,
        }


adapter = RandLora()
