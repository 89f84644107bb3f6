"""Llama 4 (Meta, 2025): mixtures of experts with early fusion of text and images.

Images are read where torchvision, which the processor needs, is installed, and text everywhere.
Three of four layers attend within chunks. An answer with calls has its text between
``<|python_start|>`` and ``<|python_end|>``, and the calls as JSON behind it.
"""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    TINY,
    Checkpoint,
    Message,
    Template,
    ToolCall,
    TorchvisionFamily,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

    from ft.api import Batch, Run

_CALLING = re.compile(r"<\|python_start\|>(.*?)<\|python_end\|>(\{.*\})", re.S)


class Llama4Template(Template):
    """Several calls follow one another without anything between them."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        match = _CALLING.fullmatch(text)
        calls = _calls(match[2]) if match else []
        if match and calls:
            return Message("assistant", match[1], tool_calls=calls)
        return Message("assistant", text)


def _calls(text: str) -> list[ToolCall]:
    """The calls in JSON objects that follow one another; none where the text is anything else."""
    calls = []
    while text:
        try:
            call, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return []
        if not isinstance(call, dict) or call.keys() != {"name", "parameters"}:
            return []
        name, arguments = call["name"], call["parameters"]
        if not (isinstance(name, str) and isinstance(arguments, dict)):
            return []
        calls.append(ToolCall(name, arguments))
        text = text[end:]
    return calls


template = Llama4Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|eot|>",),
    # a small model in the format of Llama 4, for tests
    published=("trl-internal-testing/tiny-Llama4ForCausalLM",),
)


class Llama4(TorchvisionFamily):
    """An image is cut into tiles, and the whole follows as one more."""

    @hookimpl
    def ft_patch_model(self, model: Any) -> None:
        # the processor makes bfloat16 of every image, and the tower takes it as it comes
        model.vision_model.register_forward_pre_hook(
            lambda tower, inputs: (inputs[0].to(tower.dtype), *inputs[1:])
        )

    @hookimpl
    def ft_extra_loss(self, run: Run, outputs: Any, batch: Batch) -> Tensor | None:
        if not self.options.router_loss:
            return None
        # transformers (5.23) has the coefficient and the logits, and leaves the loss to others
        from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

        text = run.config.get_text_config()
        loss = load_balancing_loss_func(
            outputs.router_logits,
            text.num_local_experts,
            text.num_experts_per_tok,
            batch.get("attention_mask"),
        )
        return text.router_aux_loss_coef * loss

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        config.image_token_index = tokenizer.convert_tokens_to_ids("<|patch|>")
        if not find_spec("torchvision"):
            return tokenizer
        import transformers

        vision = config.vision_config
        side = {"height": vision.image_size, "width": vision.image_size}
        return transformers.Llama4Processor(
            image_processor=transformers.Llama4ImageProcessor(size=side, max_patches=4),
            tokenizer=tokenizer,
            patch_size=vision.patch_size,
            pixel_shuffle_ratio=vision.pixel_shuffle_ratio,
            chat_template=tokenizer.chat_template,
        )


family = Llama4(
    title="Llama 4",
    vendor="Meta",
    model_types=("llama4",),
    templates="llama4",
    checkpoints=(
        Checkpoint("meta-llama/Llama-4-Scout-17B-16E", parameters="109B-A17B", base=True),
        Checkpoint("meta-llama/Llama-4-Maverick-17B-128E", parameters="400B-A17B", base=True),
        Checkpoint("meta-llama/Llama-4-Scout-17B-16E-Instruct", parameters="109B-A17B"),
        Checkpoint("meta-llama/Llama-4-Maverick-17B-128E-Instruct", parameters="400B-A17B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "vision_model",
        "projector": "multi_modal_projector",
        "language": "language_model",
    },
    fused_experts=("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"),
    tiny={
        "llama4": {
            "text_config": {
                **TINY,
                "intermediate_size": 32,
                "intermediate_size_mlp": 64,
                "num_local_experts": 4,
                "num_experts_per_tok": 1,
                "moe_layers": [1],
                "no_rope_layers": [1, 0],
                "attention_chunk_size": 16,
            },
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 128,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "vision_output_dim": 64,
                "projector_input_dim": 64,
                "projector_output_dim": 64,
            },
        }
    },
    media_tokens={"image_token": "<|patch|>", "fake_image_token": "<|image|>"},
    accepts=("packing",),
)
