"""OFT (Qiu et al., 2023, arXiv:2306.07280; Qiu et al., 2025, arXiv:2506.19847)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, Run
from ft_adapter_peft import LayerOptions, PeftAdapter, require_divides

if TYPE_CHECKING:
    from torch import nn


class Oft(PeftAdapter):
    """OFT: W R, where R is an orthogonal matrix of blocks on the diagonal, and starts as one.

    A rotation keeps the angles between neurons, and with them more of what the model knows. It
    is applied to the input of a layer, so that a quantized base (QOFT) stays as it is.
    """

    method = "OFT"
    paper = "arXiv:2306.07280"

    class Options(LayerOptions):
        block_size: int = Field(
            32, gt=1, description="inputs that are rotated together; divides each layer's inputs"
        )
        dropout: float = Field(
            0.0, ge=0, lt=1, description="share of the blocks that is left out of a step"
        )
        share_blocks: bool = Field(False, description="one rotation for all blocks of a layer")
        neumann_terms: int | None = Field(
            5,
            gt=0,
            description="terms of the series in place of an inverse matrix, which is faster and "
            "near to orthogonal; unset (null): the inverse",
        )
        constrained: bool = Field(False, description="stay within a distance (COFT)")
        distance: float = Field(6e-5, gt=0, description="that distance, of constrained OFT")

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "block_size": "oft_block_size",
            "dropout": "module_dropout",
            "share_blocks": "block_share",
            "constrained": "coft",
            "distance": "eps",
        }

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found, terms = super().settings(run, model), self.options.neumann_terms
        # PEFT would take another size for such a layer
        require_divides(model, found["target_modules"], "block_size", self.options.block_size)
        found["use_cayley_neumann"] = terms is not None
        return found if terms is None else found | {"num_cayley_neumann_terms": terms}


adapter = Oft()
