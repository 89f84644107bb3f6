"""Kimi K2 (Kimi Team, 2025, arXiv:2507.20534): DeepSeek V3's architecture with 384 experts.

Its formats name a call by an id alone, which rows of data do not have in that form, so they have no
tools here.
"""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Thinking(Template):
    """The format of the thinking model, whose answers begin with thoughts, if empty ones."""

    provides = Template.provides | {"reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        thoughts, closed, answer = text.removeprefix("<think>").partition("</think>")
        if not closed or not text.startswith("<think>"):
            return Message("assistant", text)
        return Message("assistant", answer, reasoning=thoughts or None)


def _read(thinks: bool) -> str:
    text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
    return f"{{%- set thinks = {str(thinks).lower()} %}}\n{text}"


template = Template(
    _read(False),
    stop=("<|im_end|>",),
    published=("moonshotai/Kimi-K2-Instruct", "moonshotai/Kimi-K2-Instruct-0905"),
)
thinking = Thinking(
    _read(True), stop=("<|im_end|>",), published=("moonshotai/Kimi-K2-Thinking",), exact="prompts"
)

family = ModelFamily(
    title="Kimi K2",
    vendor="Moonshot AI",
    model_types=("deepseek_v3",),
    templates=("kimi-k2", "kimi-k2-thinking"),
    checkpoints=(
        Checkpoint("moonshotai/Kimi-K2-Base", parameters="1T-A32B", base=True),
        Checkpoint("moonshotai/Kimi-K2-Instruct", parameters="1T-A32B"),
        Checkpoint("moonshotai/Kimi-K2-Instruct-0905", parameters="1T-A32B"),
        Checkpoint("moonshotai/Kimi-K2-Thinking", parameters="1T-A32B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "deepseek_v3": {
            "q_lora_rank": 16,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 16,
            "head_dim": 8,
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "n_group": 2,
            "topk_group": 1,
            "first_k_dense_replace": 1,
        }
    },
    accepts=("packing",),
)
