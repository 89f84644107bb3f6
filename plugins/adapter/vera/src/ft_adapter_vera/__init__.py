"""VeRA (Kopiczko et al., 2023, arXiv:2310.11454)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import nn


class Vera(PeftAdapter):
    """VeRA: W + diag(b) B diag(d) A, where A and B are random, frozen and shared by all layers.

    Only the vectors b, which starts at zero, and d train: about a tenth of LoRA's parameters
    or less, and the rank costs nearly none of them. It wants a learning rate ten times LoRA's.
    A and B follow from the run's seed.
    """

    method = "VERA"
    paper = "arXiv:2310.11454"
    rank_below_width = False  # a random basis may be larger than the layer

    class Options(LayerOptions):
        rank: int = Field(256, gt=0, description="rows of the shared random matrices")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before A")
        initial: float = Field(0.1, description="what the entries of d start at")
        save_projection: bool = Field(
            True,
            description="save A and B too; without them the file is tiny, and loads where the same "
            "seed gives the same random numbers",
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "dropout": "vera_dropout",
            "initial": "d_initial",
            "save_projection": "save_projection",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        return super().settings(run, model) | {"projection_prng_key": run.seed}


adapter = Vera()
