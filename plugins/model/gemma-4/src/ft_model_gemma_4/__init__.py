"""Gemma 4 (Google, 2026): models that see, hear, think and call tools, one of them of experts.

They think when the template's variable ``enable_thinking`` is true. Images and sound are read, and
videos where torchvision is installed; those of the 12B model, which has no towers, only there. The
results of calls stand in the turn that made them, and text of that turn behind them: it is not
trained, as no model would write it there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import (
    TINY,
    Checkpoint,
    InputError,
    Message,
    Rendered,
    Run,
    Template,
    TorchvisionFamily,
    VideoFamily,
    hookimpl,
    read_answer,
)
from ft_model_gemma_4.calls import read_call

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_THOUGHTS = re.compile(r"(?:<\|channel>thought\n)?(.*?)\n?<channel\|>", re.S)
_CALL = re.compile(r"<\|tool_call>(.*?)<tool_call\|>", re.S)


class Gemma4Template(Template):
    """Thoughts in a channel, calls and their results in one turn of the model."""

    provides = Template.provides | {"tools", "reasoning"}
    samples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"variables": {"enable_thinking": True}},
        {"variables": {"preserve_thinking": True}},
    )

    def __init__(self, large: bool, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set large = {str(large).lower()} %}}\n{text}",
            stop=("<turn|>", "<|tool_response>"),
            published=published,
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, read_call, _THOUGHTS)


class Large(Gemma4Template):
    """The format of the larger models, whose prompts close thoughts that nobody asked for.

    Data with thoughts needs ``enable_thinking: true``.
    """

    # without a variable it writes what it does where thoughts are switched off
    samples = (
        {"variables": {"enable_thinking": False}},
        {"variables": {"enable_thinking": True, "preserve_thinking": True}},
    )


template = Gemma4Template(False, "google/gemma-4-E4B-it", "google/gemma-4-E2B-it")
large = Large(True, "google/gemma-4-26B-A4B-it", "google/gemma-4-31B-it")


class Gemma4(VideoFamily, TorchvisionFamily):
    """Patches of an image are pooled, and a clip has as many places as it lasts.

    In the larger models the tokens of an image attend to each other in both directions. In a packed
    sequence transformers (5.23) looks up which image a token belongs to by its position within the
    document, not within the sequence, so such rows are refused.
    """

    processor = "Gemma4Processor"
    image_processor = "Gemma4ImageProcessorPil"
    video_processor = "Gemma4VideoProcessor"

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        if run.config.model_type == "gemma4_unified":
            return TorchvisionFamily.ft_load_processor(self, run, folder)
        return super().ft_load_processor(run, folder)

    @hookimpl
    def ft_tokenize(self, run: Run, rendered: Sequence[Rendered]) -> None:
        trainer = run.part("trainer")
        if trainer is None or not trainer.options.packing:
            return
        if run.config.get_text_config().use_bidirectional_attention != "vision":
            return
        for row in rendered:
            if any(part.type != "audio" for part in row.media):
                raise InputError(
                    f"a row with images cannot be packed for this size of {self.title}",
                    where=str(row.origin) if row.origin else None,
                    hint="set trainer.packing: false",
                )

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        return {"patch_size": config.vision_config.patch_size, "max_soft_tokens": 70}

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        import transformers

        # the model takes as many bins as its first convolution has channels
        bins = config.audio_config.subsampling_conv_channels[0]
        return {"feature_extractor": transformers.Gemma4AudioFeatureExtractor(feature_size=bins)}

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.eoa_token_index = tokenizer.eoa_token_id
        if config.model_type == "gemma4":
            return super().tiny_processor(config, tokenizer)
        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        options = self.tiny_media(config)
        return transformers.Gemma4UnifiedProcessor(
            feature_extractor=transformers.Gemma4UnifiedAudioFeatureExtractor(),
            image_processor=transformers.Gemma4UnifiedImageProcessor(**options),
            tokenizer=tokenizer,
            video_processor=transformers.Gemma4UnifiedVideoProcessor(
                **options, do_sample_frames=False
            ),
            chat_template=tokenizer.chat_template,
        )


_TEXT = {
    **TINY,
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 32,
    "global_head_dim": 16,
}

family = Gemma4(
    title="Gemma 4",
    vendor="Google",
    model_types=("gemma4", "gemma4_unified"),
    templates=("gemma4", "gemma4-large"),
    checkpoints=(
        Checkpoint("google/gemma-4-E2B", parameters="E2B", base=True),
        Checkpoint("google/gemma-4-E4B", parameters="E4B", base=True),
        Checkpoint("google/gemma-4-12B", parameters="12B", base=True),
        Checkpoint("google/gemma-4-31B", parameters="31B", base=True),
        Checkpoint("google/gemma-4-26B-A4B", parameters="26B-A4B", base=True),
        Checkpoint("google/gemma-4-E2B-it", parameters="E2B"),
        Checkpoint("google/gemma-4-E4B-it", parameters="E4B"),
        Checkpoint("google/gemma-4-12B-it", parameters="12B"),
        Checkpoint("google/gemma-4-31B-it", parameters="31B"),
        Checkpoint("google/gemma-4-26B-A4B-it", parameters="26B-A4B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "audio": "model.audio_tower",
        "projector": "model.embed_vision",
        "audio-projector": "model.embed_audio",
        "language": "model.language_model",
    },
    fused_experts=("experts.gate_up_proj", "experts.down_proj"),
    tiny={
        "gemma4": {
            "text_config": {
                **_TEXT,
                "num_hidden_layers": 4,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
                "num_kv_shared_layers": 2,
                "hidden_size_per_layer_input": 8,
                "vocab_size_per_layer_input": TINY["vocab_size"],
                "enable_moe_block": True,
                "num_experts": 4,
                "top_k_experts": 2,
                "moe_intermediate_size": 32,
                "use_bidirectional_attention": "vision",
            },
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "patch_size": 8,
                "position_embedding_size": 128,
            },
            "audio_config": {
                "hidden_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "subsampling_conv_channels": [32, 4],
                "output_proj_dims": 32,
            },
        },
        "gemma4_unified": {
            "text_config": _TEXT,
            "vision_config": {
                "patch_size": 8,
                "mm_embed_dim": 32,
                "mm_posemb_size": 64,
                "output_proj_dims": 32,
            },
            "audio_config": {"audio_embed_dim": 640},
        },
    },
    media_tokens={
        "image_token": "<|image|>",
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "video_token": "<|video|>",
        "audio_token": "<|audio|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
    },
    padded_media=("input_features", "input_features_mask"),
    accepts=("images", "audio", "packing"),
)
