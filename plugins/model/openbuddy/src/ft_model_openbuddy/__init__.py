"""OpenBuddy (2023 to 2025): models of several vendors, trained to chat in many languages.

The older ones are asked with ``User:``, those from version 21 on with tokens of their own. The text
published for the older ones leaves out what ends a last answer, so only their prompts are the same.
"""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Spaced(Template):
    """A format in which a space stands before each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Spaced(
    _read("chat.jinja"),
    published=("OpenBuddy/openbuddy-deepseek-67b-v18.1-4k",),
    exact="prompts",
)
v21 = Template(
    _read("chat_21.jinja"),
    stop=("<|end|>",),
    published=("OpenBuddy/openbuddy-llama3-8b-v21.1-8k",),
)

family = ModelFamily(
    title="OpenBuddy",
    vendor="OpenBuddy",
    model_types=("llama", "mistral", "mixtral"),
    templates=("openbuddy", "openbuddy-21"),
    checkpoints=(
        Checkpoint("OpenBuddy/openbuddy-llama-65b-v8-bf16", parameters="65B"),
        Checkpoint("OpenBuddy/openbuddy-llama2-13b-v8.1-fp16", parameters="13B"),
        Checkpoint("OpenBuddy/openbuddy-llama2-70b-v10.1-bf16", parameters="70B"),
        Checkpoint("OpenBuddy/openbuddy-deepseek-67b-v15.2", parameters="67B"),
        Checkpoint("OpenBuddy/openbuddy-llama3-8b-v21.1-8k", parameters="8B"),
        Checkpoint("OpenBuddy/openbuddy-llama3-70b-v21.1-8k", parameters="70B"),
        Checkpoint("OpenBuddy/openbuddy-yi1.5-34b-v21.3-32k", parameters="34B"),
        Checkpoint("OpenBuddy/openbuddy-llama3.1-8b-v22.1-131k", parameters="8B"),
        Checkpoint("OpenBuddy/openbuddy-nemotron-70b-v23.2-131k", parameters="70B"),
        Checkpoint("OpenBuddy/openbuddy-llama3.3-70b-v24.3-131k", parameters="70B"),
        Checkpoint("OpenBuddy/openbuddy-mistral-7b-v17.1-32k", parameters="7B"),
        Checkpoint("OpenBuddy/openbuddy-zephyr-7b-v14.1", parameters="7B"),
        Checkpoint("OpenBuddy/openbuddy-mixtral-7bx8-v18.1-32k", parameters="8x7B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "mistral": {"sliding_window": 32},
        "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    },
    accepts=("packing",),
)
