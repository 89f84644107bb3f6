"""HRA (Yuan et al., 2024, arXiv:2405.17484)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ft.api import Field
from ft_adapter_peft import LayerOptions, PeftAdapter


class Hra(PeftAdapter):
    """HRA: W H_1 ... H_r, a chain of Householder reflections H_i = 1 - 2 u_i u_i^T.

    The product is orthogonal, as in OFT, and differs from one by a matrix of rank r, as in
    LoRA. The reflections start in pairs that undo each other.
    """

    method = "HRA"
    paper = "arXiv:2405.17484"
    accepts = PeftAdapter.accepts - {"quantized-base"}  # the weight itself is reflected

    class Options(LayerOptions):
        rank: int = Field(8, gt=0, multiple_of=2, description="reflections; an even number")
        orthogonal: bool = Field(
            False, description="make the hyperplanes orthogonal to each other (Gram-Schmidt)"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "r",
            "orthogonal": "apply_GS",
        }


adapter = Hra()
