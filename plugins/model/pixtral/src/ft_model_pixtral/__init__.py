"""Pixtral 12B (Agrawal et al., 2024, arXiv:2410.07073): images at their own resolution.

The checkpoint is that in the form of transformers. The end token of the tokenizer ends an answer.
System text stands in the question that waits for an answer, so that no answer in the text follows
from it: such conversations are refused.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Template, TorchvisionFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class WithoutSystemText(Template):
    """A format that has system text in a prompt only."""

    provides = Template.provides - {"system-text"}


template = WithoutSystemText((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))


class Pixtral(TorchvisionFamily):
    """Sees an image at its own resolution, in patches."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.image_token_index = tokenizer.image_token_id
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        vision = config.vision_config
        return transformers.PixtralProcessor(
            image_processor=transformers.PixtralImageProcessorPil(
                patch_size=vision.patch_size, size={"longest_edge": vision.image_size}
            ),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            chat_template=tokenizer.chat_template,
        )


family = Pixtral(
    title="Pixtral",
    vendor="Mistral AI",
    model_types=("llava",),
    templates="pixtral",
    checkpoints=(Checkpoint("mistral-community/pixtral-12b", parameters="12B"),),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "llava": {
            "text_config": {"model_type": "mistral", "sliding_window": None, **TINY},
            "vision_config": {
                "model_type": "pixtral",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "head_dim": 16,
                "image_size": 64,
                "patch_size": 8,
            },
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
        },
    },
    media_tokens={
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    },
    padded_media=("pixel_values",),
    accepts=("packing",),
)
