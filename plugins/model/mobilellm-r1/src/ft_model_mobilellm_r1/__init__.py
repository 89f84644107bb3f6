"""MobileLLM-R1 (Zhao et al., 2025, arXiv:2509.24945): small dense models for mathematics and code.

Their architecture is that of Llama 4's text models without experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import Checkpoint, InputError, ModelFamily, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class MobileLLM(ModelFamily):
    """Dense models whose configuration class has a router's coefficient for other models."""

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        if self.options.router_loss:
            raise InputError(f"{self.title} has no router", hint="leave model.router_loss out")


family = MobileLLM(
    title="MobileLLM-R1",
    vendor="Meta",
    model_types=("llama4_text",),
    templates="llama3",
    checkpoints=(
        Checkpoint("facebook/MobileLLM-R1-140M-base", parameters="140M", base=True),
        Checkpoint("facebook/MobileLLM-R1-360M-base", parameters="360M", base=True),
        Checkpoint("facebook/MobileLLM-R1-950M-base", parameters="950M", base=True),
        Checkpoint("facebook/MobileLLM-R1-140M", parameters="140M"),
        Checkpoint("facebook/MobileLLM-R1-360M", parameters="360M"),
        Checkpoint("facebook/MobileLLM-R1-950M", parameters="950M"),
    ),
    tiny={
        "llama4_text": {
            "intermediate_size_mlp": 128,
            "moe_layers": [],
            "no_rope_layers": [1, 1],
            "layer_types": ["full_attention", "full_attention"],
        }
    },
    accepts=("packing",),
)
