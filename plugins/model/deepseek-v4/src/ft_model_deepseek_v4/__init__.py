"""DeepSeek V4 Flash and Pro (DeepSeek, 2026): mixtures of experts for very long texts.

Layers attend to a window of tokens and to blocks of compressed ones, so that documents in a shared
sequence would see each other: packing is not accepted. The models think with the template's
variable ``thinking: true``, and ``reasoning_effort: max`` asks for more of it. They are published
with a program in the place of a chat template; what the format is compared with was made from that.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ft.api import (
    Capabilities,
    Checkpoint,
    KnownFailure,
    Message,
    ModelFamily,
    Template,
    ToolCall,
    hookimpl,
    read_answer,
)

_DSML = "｜DSML｜"  # noqa: RUF001
_THOUGHTS = re.compile(r"(?:<think>)?(.*?)</think>", re.S)
_CALL = re.compile(
    rf'(?:\n\n<{_DSML}tool_calls>\n)?<{_DSML}invoke name="(.*?)</{_DSML}invoke>\n'
    rf"(?:</{_DSML}tool_calls>)?",
    re.S,
)
_ARGUMENT = re.compile(
    rf'<{_DSML}parameter name="([^"]*)" string="(true|false)">(.*?)</{_DSML}parameter>\n', re.S
)


def _read_call(text: str) -> ToolCall:
    name, _, rest = text.partition('">\n')
    found = list(_ARGUMENT.finditer(rest))
    arguments = {m[1]: m[3] if m[2] == "true" else json.loads(m[3]) for m in found}
    if len(arguments) < len(found) or "".join(m[0] for m in found) != rest:
        raise ValueError("more than arguments, or one of them twice")
    return ToolCall(name, arguments)


class Switched(Template):
    """Tags around calls and arguments; thoughts where ``thinking`` is true."""

    provides = Template.provides | {"tools"}
    samples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"variables": {"thinking": True}},
        {"variables": {"enable_thinking": True, "reasoning_effort": "max"}},
    )

    def capabilities(self) -> Capabilities:
        said, variables = super().capabilities(), self.options.variables
        thinks = variables.get("thinking", variables.get("enable_thinking"))
        return said.also(provides=["reasoning"]) if thinks else said

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, _read_call, _THOUGHTS)


template = Switched(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<｜end▁of▁sentence｜>",),  # noqa: RUF001
    published=("unsloth/DeepSeek-V4-Flash",),
)


class DeepSeekV4(ModelFamily):
    """A family whose layers compress padding on the left, too."""

    known_failures = (
        KnownFailure(
            "model.generates",
            "transformers compresses padding with the tokens, so prompts of different lengths, "
            "generated in one batch, are read otherwise than alone",
            "https://github.com/huggingface/transformers/issues/45938",
        ),
    )


family = DeepSeekV4(
    title="DeepSeek V4",
    vendor="DeepSeek",
    model_types=("deepseek_v4",),
    templates="deepseek-v4",
    checkpoints=(
        Checkpoint("deepseek-ai/DeepSeek-V4-Flash-Base", parameters="284B-A13B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V4-Pro-Base", parameters="1.6T-A49B", base=True),
        Checkpoint("deepseek-ai/DeepSeek-V4-Flash", parameters="284B-A13B"),
        Checkpoint("deepseek-ai/DeepSeek-V4-Flash-0731", parameters="284B-A13B"),
        Checkpoint("deepseek-ai/DeepSeek-V4-Pro", parameters="1.6T-A49B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v4": {
            "num_key_value_heads": 1,
            "q_lora_rank": 16,
            "o_lora_rank": 16,
            "o_groups": 2,
            "partial_rotary_factor": 0.5,
            "layer_types": ["heavily_compressed_attention", "compressed_sparse_attention"],
            "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
            "sliding_window": 8,
            "index_topk": 4,
            "index_head_dim": 16,
            # with few heads many scores are zero, and which of those are chosen is chance
            "index_n_heads": 32,
            "hc_mult": 2,
            "mlp_layer_types": ["hash_moe", "moe"],
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
        }
    },
)
