"""WizardLM-2 8x22B (2024): Mixtral trained on instructions that were made harder step by step.

The method is that of arXiv:2304.12244.
"""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Spaced(Template):
    """A format in which a space stands before each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


template = Spaced(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("alpindale/WizardLM-2-8x22B",),
)

family = ModelFamily(
    title="WizardLM-2",
    vendor="Microsoft",
    model_types=("mixtral",),
    templates="wizardlm-2",
    checkpoints=(Checkpoint("alpindale/WizardLM-2-8x22B", parameters="8x22B"),),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={"mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2}},
    accepts=("packing",),
)
