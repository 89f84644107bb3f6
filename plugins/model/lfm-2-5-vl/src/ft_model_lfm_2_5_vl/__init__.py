"""LFM2-VL and LFM2.5-VL (Liquid AI, 2025, arXiv:2511.23404): LFM2 with SigLIP 2 in front.

Images are read where torchvision, which the processor needs, is installed, and text everywhere. The
chat formats list tools, and write calls in no form that can be read back without doubt, so they
have no tools here. The convolutions run on across documents: rows are not packed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Message, Template, TorchvisionFamily, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class LfmTemplate(Template):
    """A format whose answers are text."""

    def __init__(self, kind: str, published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set kind = '{kind}' %}}\n{text}", stop=("<|im_end|>",), published=(published,)
        )


class Small(LfmTemplate):
    """The format of the smallest model, which may think."""

    provides = LfmTemplate.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        thoughts, closed, answer = text.removeprefix("<think>").partition("</think>")
        if not closed or not text.startswith("<think>"):
            return Message("assistant", text)
        return Message("assistant", answer, reasoning=thoughts or None)


template = LfmTemplate("2", "LiquidAI/LFM2-VL-450M")
v2_5 = LfmTemplate("2.5", "LiquidAI/LFM2.5-VL-1.6B")
v2_5_small = Small("2.5-small", "LiquidAI/LFM2.5-VL-450M")


class Lfm2Vl(TorchvisionFamily):
    """An image is cut into tiles, and a thumbnail of the whole follows."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.image_token_id = tokenizer.image_token_id
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        patch = config.vision_config.patch_size
        return transformers.Lfm2VlProcessor(
            image_processor=transformers.Lfm2VlImageProcessor(
                downsample_factor=config.downsample_factor,
                encoder_patch_size=patch,
                tile_size=4 * patch,
                min_image_tokens=1,
                max_image_tokens=4,
            ),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template,
        )


family = Lfm2Vl(
    title="LFM2-VL",
    vendor="Liquid AI",
    model_types=("lfm2_vl",),
    templates=("lfm2-5-vl", "lfm2-5-vl-small", "lfm2-vl"),
    checkpoints=(
        Checkpoint("LiquidAI/LFM2-VL-450M", parameters="450M"),
        Checkpoint("LiquidAI/LFM2-VL-1.6B", parameters="1.6B"),
        Checkpoint("LiquidAI/LFM2-VL-3B", parameters="3B"),
        Checkpoint("LiquidAI/LFM2.5-VL-450M", parameters="450M"),
        Checkpoint("LiquidAI/LFM2.5-VL-1.6B", parameters="1.6B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "lfm2_vl": {
            "text_config": {
                "model_type": "lfm2",
                **TINY,
                "layer_types": ["conv", "full_attention"],
                "block_auto_adjust_ff_dim": False,
            },
            "vision_config": {
                "model_type": "siglip2_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_patches": 16,
                "patch_size": 8,
                "vision_use_head": False,
            },
            "projector_hidden_size": 64,
        }
    },
    media_tokens={
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    },
)
