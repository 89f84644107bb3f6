"""Kimi K2.5, K2.6 and K2.7 (Kimi Team, 2026): Kimi K2 (arXiv:2507.20534) with a tower in front.

Images are read where torchvision, which the processor needs, is installed, and text everywhere;
videos are refused. All think; K2.5 and K2.6 not where ``thinking`` is false. The formats name a
call by an id alone, which rows of data do not have in that form, so they have no tools here. The
published texts leave the thoughts out of the last answer, where they are trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import TINY, Checkpoint, Message, Template, TorchvisionFamily, hookimpl
from ft_model_kimi_k2 import family as kimi_k2

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class KimiTemplate(Template):
    """An answer begins within its thoughts, which the prompt opens."""

    provides = Template.provides | {"reasoning"}

    def __init__(self, release: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set release = '{release}' %}}\n{text}",
            stop=("<|im_end|>",),
            published=(f"moonshotai/Kimi-{release}",),
            exact="prompts",
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        thoughts, closed, answer = text.removeprefix("<think>").partition("</think>")
        if not closed:
            return Message("assistant", text)
        return Message("assistant", answer, reasoning=thoughts or None)


class Switched(KimiTemplate):
    """Thoughts can be switched off."""

    samples: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"variables": {"thinking": False}})


class Keeping(Switched):
    """Earlier thoughts are kept where ``preserve_thinking`` is true."""

    samples = (*Switched.samples, {"variables": {"preserve_thinking": True}})


template = Switched("K2.5")
v2_6 = Keeping("K2.6")
v2_7 = KimiTemplate("K2.7-Code")


class KimiK25(TorchvisionFamily):
    """Patches of an image are merged."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        options = {"patch_size": config.vision_config.patch_size}
        return transformers.Kimi_K25Processor(
            image_processor=transformers.Kimi_K25ImageProcessor(**options),
            tokenizer=tokenizer,
            video_processor=transformers.Kimi_K25VideoProcessor(**options),
            chat_template=tokenizer.chat_template,
        )


family = KimiK25(
    title="Kimi K2.5",
    vendor="Moonshot AI",
    model_types=("kimi_k25",),
    templates=("kimi-k2-5", "kimi-k2-6", "kimi-k2-7"),
    checkpoints=(
        Checkpoint("moonshotai/Kimi-K2.5", parameters="1T-A32B"),
        Checkpoint("moonshotai/Kimi-K2.6", parameters="1T-A32B"),
        Checkpoint("moonshotai/Kimi-K2.7-Code", parameters="1T-A32B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.mm_projector",
        "language": "model.language_model",
    },
    fused_experts=kimi_k2.fused_experts,
    tiny={
        "kimi_k25": {
            "text_config": {"model_type": "deepseek_v3", **TINY, **kimi_k2.tiny["deepseek_v3"]},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "patch_size": 8,
                "pos_emb_height": 8,
                "pos_emb_width": 8,
            },
            "projection_hidden_size": 32,
        }
    },
    media_tokens={
        "image_token": "<|media_pad|>",
        "video_token": "<|kimi_k25_video_placeholder|>",
        "vision_start_token": "<|media_begin|>",
        "vision_end_token": "<|media_end|>",
    },
    accepts=("packing",),
)
