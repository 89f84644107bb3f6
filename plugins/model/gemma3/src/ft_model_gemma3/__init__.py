"""Gemma 3 (Gemma Team, 2025, arXiv:2503.19786): text models, and models that see images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    TINY,
    Checkpoint,
    InputError,
    ModelFamily,
    Rendered,
    Run,
    Template,
    hookimpl,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<end_of_turn>",),
    published=("unsloth/gemma-3-1b-it",),
)

_TINY_TEXT = {
    "query_pre_attn_scalar": 16,
    "sliding_window": 32,
    "layer_types": ["sliding_attention", "full_attention"],
}


class Gemma3(ModelFamily):
    """Refuses images in packed rows.

    The tokens of an image attend to each other in both directions. In a packed sequence
    transformers (5.23) looks up which image a token belongs to by its position within the
    document, not within the sequence, so images would attend to the wrong tokens.
    """

    @hookimpl
    def ft_tokenize(self, run: Run, rendered: Sequence[Rendered]) -> None:
        trainer = run.part("trainer")
        if trainer is None or not trainer.options.packing:
            return
        row = next((row for row in rendered if row.media), None)
        if row is not None:
            raise InputError(
                "a row with images cannot be packed for Gemma 3",
                where=str(row.origin) if row.origin else None,
                hint="set trainer.packing: false",
            )

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        vision = getattr(config, "vision_config", None)
        if vision is None:
            return tokenizer
        import transformers

        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_index", tokenizer.convert_tokens_to_ids(token))
        return transformers.Gemma3Processor(
            image_processor=transformers.Gemma3ImageProcessorPil(
                size={"height": vision.image_size, "width": vision.image_size}
            ),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template,
            image_seq_length=config.mm_tokens_per_image,
        )


family = Gemma3(
    title="Gemma 3",
    vendor="Google",
    model_types=("gemma3", "gemma3_text"),
    templates="gemma3",
    checkpoints=(
        Checkpoint("google/gemma-3-270m", parameters="270M", base=True),
        Checkpoint("google/gemma-3-1b-pt", parameters="1B", base=True),
        Checkpoint("google/gemma-3-270m-it", parameters="270M"),
        Checkpoint("google/gemma-3-1b-it", parameters="1B"),
        Checkpoint("google/gemma-3-4b-pt", parameters="4B", base=True),
        Checkpoint("google/gemma-3-12b-pt", parameters="12B", base=True),
        Checkpoint("google/gemma-3-27b-pt", parameters="27B", base=True),
        Checkpoint("google/gemma-3-4b-it", parameters="4B"),
        Checkpoint("google/gemma-3-12b-it", parameters="12B"),
        Checkpoint("google/gemma-3-27b-it", parameters="27B"),
    ),
    auto_class={"gemma3": "AutoModelForImageTextToText", "gemma3_text": "AutoModelForCausalLM"},
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "gemma3_text": _TINY_TEXT,
        "gemma3": {
            "text_config": {**TINY, **_TINY_TEXT},
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "vision_use_head": False,
            },
            "mm_tokens_per_image": 4,
        },
    },
    media_tokens={
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    },
    accepts=("images", "packing"),
)
