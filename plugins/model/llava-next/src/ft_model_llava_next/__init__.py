"""LLaVA-NeXT (Liu et al., 2024; LLaVA 1.6, arXiv:2310.03744): images as a whole and in tiles.

Behind CLIP's tower stand models of several vendors, each with the chat format of its own: that
of LLaVA 1.5 with Vicuna, and here those with Mistral, Llama 3, Yi and Qwen 1.5. They are those
that the models were trained with, the begin-of-text token included: what is published with the
checkpoints has no end token after an answer of Vicuna or Mistral.
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


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _turns(head: str, body: str, end: str, system: str = "", bos: bool = False) -> Template:
    """A format whose turns all have one form: ``head``, role, ``body``, content and ``end``."""
    values = {"head": head, "body": body, "end": end, "system": system, "with_bos": bos}
    first = "".join(f"{{%- set {name} = {value!r} %}}\n" for name, value in values.items())
    return Template(first + _read("chat.jinja"), stop=(end.rstrip("\n"),))


mistral = Spaced(_read("chat_mistral.jinja"))
llama3 = _turns(
    "<|start_header_id|>",
    "<|end_header_id|>\n\n",
    "<|eot_id|>",
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language.",
    bos=True,
)
yi = _turns("<|im_start|>", "\n", "<|im_end|>", "Answer the questions.")
qwen = _turns("<|im_start|>", "\n", "<|im_end|>\n", "You are a helpful assistant.")


class LlavaNext(ModelFamily):
    """Sees an image in small, and its tiles: as many as a size of the configuration has."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.image_token_index = tokenizer.image_token_id
        vision = config.vision_config
        side = {"height": vision.image_size, "width": vision.image_size}
        return transformers.LlavaNextProcessor(
            image_processor=transformers.LlavaNextImageProcessorPil(
                size={"shortest_edge": vision.image_size},
                crop_size=side,
                image_grid_pinpoints=config.image_grid_pinpoints,
            ),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            num_additional_image_tokens=1,
            chat_template=tokenizer.chat_template,
        )


family = LlavaNext(
    title="LLaVA-NeXT",
    vendor="LLaVA",
    model_types=("llava_next",),
    templates=(
        "llava-1-5",
        "llava-next-mistral",
        "llava-next-llama3",
        "llava-next-yi",
        "llava-next-qwen",
    ),
    checkpoints=(
        Checkpoint("llava-hf/llava-v1.6-vicuna-7b-hf", parameters="7B"),
        Checkpoint("llava-hf/llava-v1.6-vicuna-13b-hf", parameters="13B"),
        Checkpoint("llava-hf/llava-v1.6-mistral-7b-hf", parameters="7B"),
        Checkpoint("llava-hf/llama3-llava-next-8b-hf", parameters="8B"),
        Checkpoint("llava-hf/llava-v1.6-34b-hf", parameters="34B"),
        Checkpoint("llava-hf/llava-next-72b-hf", parameters="72B"),
        Checkpoint("llava-hf/llava-next-110b-hf", parameters="110B"),
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
            "image_grid_pinpoints": [[32, 64], [64, 32], [64, 64], [32, 96]],
        }
    },
    media_tokens={"image_token": "<image>"},
    padded_media=("pixel_values",),
    accepts=("images", "packing"),
)
