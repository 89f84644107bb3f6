"""Mistral Small 3, 3.1 and 3.2 (Mistral AI, 2025); from 3.1 on the models see images.

Their chat format puts a system text with the date of today in front where there is none. Release
3 is a text model of type ``mistral``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Template, TorchvisionFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("mistralai/Mistral-Small-3.1-24B-Instruct-2503",),
)


class MistralSmall(TorchvisionFamily):
    """Trains on text alone where torchvision, which the processor needs, is not installed.

    Images are accepted where it is.
    """

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        vision = getattr(config, "vision_config", None)
        if vision is None:
            return tokenizer
        config.image_token_index = tokenizer.image_token_id
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        return transformers.PixtralProcessor(
            image_processor=transformers.PixtralImageProcessorPil(
                patch_size=vision.patch_size, size={"longest_edge": vision.image_size}
            ),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            spatial_merge_size=config.spatial_merge_size,
            chat_template=tokenizer.chat_template,
        )


family = MistralSmall(
    title="Mistral Small",
    vendor="Mistral AI",
    model_types=("mistral3", "mistral"),
    templates="mistral-small",
    checkpoints=(
        Checkpoint("mistralai/Mistral-Small-24B-Base-2501", parameters="24B", base=True),
        Checkpoint("mistralai/Mistral-Small-3.1-24B-Base-2503", parameters="24B", base=True),
        Checkpoint("mistralai/Mistral-Small-24B-Instruct-2501", parameters="24B"),
        Checkpoint("mistralai/Mistral-Small-3.1-24B-Instruct-2503", parameters="24B"),
        Checkpoint("mistralai/Mistral-Small-3.2-24B-Instruct-2506", parameters="24B"),
    ),
    auto_class={"mistral3": "AutoModelForImageTextToText", "mistral": "AutoModelForCausalLM"},
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "mistral": {"sliding_window": None},
        "mistral3": {
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
        },
    },
    media_tokens={
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    },
    padded_media=("pixel_values",),
)
