"""Granite Vision 3.1 to 3.3 (Granite Vision Team, 2025, arXiv:2502.09927): documents and charts.

The architecture of LLaVA-NeXT with a SigLIP tower, of which features of four layers are read, and
Granite 3 behind it. The published format has no place for a call, so it has no tools.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, ModelFamily, Template

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|end_of_text|>",),
    published=("ibm-granite/granite-vision-3.3-2b",),
)


class GraniteVision(ModelFamily):
    """Sees an image in small, and its tiles: as many as a size of the configuration has."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.image_token_index = tokenizer.image_token_id
        vision = config.vision_config
        side = {"height": vision.image_size, "width": vision.image_size}
        return transformers.LlavaNextProcessor(
            image_processor=transformers.LlavaNextImageProcessorPil(
                size=side, crop_size=side, image_grid_pinpoints=config.image_grid_pinpoints
            ),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            chat_template=tokenizer.chat_template,
        )


family = GraniteVision(
    title="Granite Vision 3",
    vendor="IBM",
    model_types=("llava_next",),
    templates="granite-3-vision",
    checkpoints=(
        Checkpoint("ibm-granite/granite-vision-3.1-2b-preview", parameters="2B"),
        Checkpoint("ibm-granite/granite-vision-3.2-2b", parameters="2B"),
        Checkpoint("ibm-granite/granite-vision-3.3-2b", parameters="2B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "newline": "model.image_newline",
        "language": "model.language_model",
    },
    tiny={
        "llava_next": {
            "text_config": {"model_type": "granite", **TINY},
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 4,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "vision_use_head": False,
            },
            "vision_feature_layer": [-3, -1],
            "vision_feature_select_strategy": "full",
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [32, 96]],
        }
    },
    media_tokens={"image_token": "<image>"},
    padded_media=("pixel_values",),
    accepts=("images", "packing"),
)
