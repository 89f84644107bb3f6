"""LLaVA 1.5 (Liu et al., 2023, arXiv:2310.03744): Vicuna with CLIP's vision tower in front.

The chat format is that of Vicuna without its first sentence. As in the model's own training, the
begin-of-text token stands in front, and the end token of the tokenizer ends an answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Message, ModelFamily, Template, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Spaced(Template):
    """A format in which a space stands before each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


template = Spaced((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))


class Llava(ModelFamily):
    """Cuts an image to the one size that its tower sees."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.image_token_index = tokenizer.image_token_id
        vision = config.vision_config
        side = {"height": vision.image_size, "width": vision.image_size}
        return transformers.LlavaProcessor(
            image_processor=transformers.CLIPImageProcessorPil(size=side, crop_size=side),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            num_additional_image_tokens=1,
            chat_template=tokenizer.chat_template,
        )


family = Llava(
    title="LLaVA 1.5",
    vendor="LLaVA",
    model_types=("llava",),
    templates="llava-1-5",
    checkpoints=(
        Checkpoint("llava-hf/llava-1.5-7b-hf", parameters="7B"),
        Checkpoint("llava-hf/llava-1.5-13b-hf", parameters="13B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "llava": {
            "text_config": {"model_type": "llama", **TINY},
            "vision_config": {
                "model_type": "clip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
        }
    },
    media_tokens={"image_token": "<image>"},
    accepts=("images",),
)
