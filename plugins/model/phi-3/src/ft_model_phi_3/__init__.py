"""Phi-3 and Phi-3.5 (Abdin et al., 2024, arXiv:2404.14219).

The small models of the family run on code of their own, and are not part of this plugin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Checkpoint, ModelFamily, Template, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Phi3(ModelFamily):
    """Has Phi-3.5-MoE choose its experts in training as it does when it answers.

    Its routers (Liu et al., 2024, arXiv:2409.12136) draw experts at random while the model is
    trained. Fine-tuned like that, the model would learn with others than it is asked with.
    """

    @hookimpl
    def ft_patch_model(self, model: nn.Module) -> None:
        for module in model.modules():
            if type(module).__name__ == "PhimoeTopKRouter":
                module.register_forward_pre_hook(_as_when_it_answers)


def _as_when_it_answers(router: nn.Module, _: Any) -> None:
    router.training = False


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


class Medium(Template):
    """The format of the medium models has no place for system text."""

    provides = frozenset({"chat-template"})


template = Template(
    "{%- set empty_system = true %}\n" + _read("chat.jinja"),
    stop=("<|end|>",),
    published=("microsoft/Phi-3-mini-4k-instruct",),
)
template_3_5 = Template(
    "{%- set empty_system = false %}\n" + _read("chat.jinja"),
    stop=("<|end|>",),
    published=("microsoft/Phi-3.5-mini-instruct", "microsoft/Phi-3.5-MoE-instruct"),
)
medium = Medium(
    _read("chat_medium.jinja"),
    stop=("<|end|>",),
    published=("microsoft/Phi-3-medium-128k-instruct",),
)

family = Phi3(
    title="Phi-3",
    vendor="Microsoft",
    model_types=("phi3", "phimoe"),
    templates=("phi-3", "phi-3-5", "phi-3-medium"),
    checkpoints=(
        Checkpoint("microsoft/Phi-3-mini-4k-instruct", parameters="3.8B"),
        Checkpoint("microsoft/Phi-3-mini-128k-instruct", parameters="3.8B"),
        Checkpoint("microsoft/Phi-3-medium-4k-instruct", parameters="14B"),
        Checkpoint("microsoft/Phi-3-medium-128k-instruct", parameters="14B"),
        Checkpoint("microsoft/Phi-3.5-mini-instruct", parameters="3.8B"),
        Checkpoint("microsoft/Phi-3.5-MoE-instruct", parameters="42B-A6.6B"),
    ),
    fused_experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    tiny={
        "phi3": {"pad_token_id": 0, "sliding_window": 32},
        "phimoe": {"num_local_experts": 4, "sliding_window": 32},
    },
    accepts=("packing",),
)
