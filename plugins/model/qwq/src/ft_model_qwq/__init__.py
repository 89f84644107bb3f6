"""QwQ (Qwen Team, 2025): made of Qwen2.5 32B, it thinks before it answers.

The preview has Qwen2.5's chat format with a system text of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl, json_call, read_answer
from ft_template_qwen2_5 import Qwen25Template

_THOUGHTS = re.compile(r"(?:<think>\n?)?(.*?)\n?</think>\n{0,2}", re.S)
_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Thinking(Template):
    """The prompt opens ``<think>``. Earlier turns lose their thoughts."""

    provides = Template.provides | {"tools", "reasoning"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call, _THOUGHTS)


template = Thinking(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("Qwen/QwQ-32B",),
    exact="prompts",
)
preview = Qwen25Template(
    "'You are a helpful and harmless assistant. You are Qwen developed by Alibaba. '"
    " ~ 'You should think step-by-step.'",
    "Qwen/QwQ-32B-Preview",
)

family = ModelFamily(
    title="QwQ",
    vendor="Alibaba",
    model_types=("qwen2",),
    templates=("qwq", "qwq-preview"),
    checkpoints=(
        Checkpoint("Qwen/QwQ-32B-Preview", parameters="32B"),
        Checkpoint("Qwen/QwQ-32B", parameters="32B"),
    ),
    accepts=("packing",),
)
