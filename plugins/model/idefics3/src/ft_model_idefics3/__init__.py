"""Idefics3 (Laurençon et al., 2024, arXiv:2408.12637) and SmolVLM (arXiv:2504.05299).

SigLIP's tower stands in front of Llama 3, or of SmolLM2. An image is cut into tiles of the size
that the tower sees, and the whole follows as one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, ModelFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Idefics3(ModelFamily):
    """Rows have different numbers of tiles; tiles of zeros stand for none."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.image_token_id = tokenizer.image_token_id
        vision = config.vision_config
        side = vision.image_size // vision.patch_size // config.scale_factor
        return transformers.Idefics3Processor(
            image_processor=transformers.Idefics3ImageProcessorPil(
                size={"longest_edge": 2 * vision.image_size},
                max_image_size={"longest_edge": vision.image_size},
            ),
            tokenizer=tokenizer,
            image_seq_len=side**2,
            chat_template=tokenizer.chat_template,
        )


family = Idefics3(
    title="Idefics3",
    vendor="Hugging Face",
    model_types=("idefics3",),
    templates=("idefics3", "smolvlm", "smolvlm-base"),
    checkpoints=(
        Checkpoint("HuggingFaceTB/SmolVLM-256M-Base", parameters="256M", base=True),
        Checkpoint("HuggingFaceTB/SmolVLM-500M-Base", parameters="500M", base=True),
        Checkpoint("HuggingFaceTB/SmolVLM-Base", parameters="2.2B", base=True),
        Checkpoint("HuggingFaceM4/Idefics3-8B-Llama3", parameters="8B"),
        Checkpoint("HuggingFaceTB/SmolVLM-256M-Instruct", parameters="256M"),
        Checkpoint("HuggingFaceTB/SmolVLM-500M-Instruct", parameters="500M"),
        Checkpoint("HuggingFaceTB/SmolVLM-Instruct", parameters="2.2B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_model",
        "projector": "model.connector",
        "language": "model.text_model",
    },
    tiny={
        "idefics3": {
            "text_config": {"model_type": "llama", **TINY},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
            },
        }
    },
    media_tokens={
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
    },
    padded_media=("pixel_values", "pixel_attention_mask"),
    accepts=("images", "packing"),
)
