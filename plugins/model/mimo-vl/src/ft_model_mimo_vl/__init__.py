"""MiMo-VL (Xiaomi, 2025, arXiv:2506.03569): Qwen2.5-VL's architecture, taught to think.

Its thoughts stand in the text of an answer, in ``<think>``. Positions have three axes, so that rows
are not packed.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Checkpoint, Message, Template, hookimpl, json_call, read_answer
from ft_model_qwen2_5_vl import Qwen25VL
from ft_model_qwen2_5_vl import family as qwen2_5_vl

_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class MiMoTemplate(Template):
    """ChatML with a system turn, images, videos and ``<tool_call>`` around calls in JSON."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


template = MiMoTemplate(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"), stop=("<|im_end|>",)
)

family = Qwen25VL(
    title="MiMo-VL",
    vendor="Xiaomi",
    model_types=qwen2_5_vl.model_types,
    templates="mimo-vl",
    checkpoints=(
        Checkpoint("XiaomiMiMo/MiMo-VL-7B-SFT", parameters="7B"),
        Checkpoint("XiaomiMiMo/MiMo-VL-7B-RL", parameters="7B"),
        Checkpoint("XiaomiMiMo/MiMo-VL-7B-SFT-2508", parameters="7B"),
        Checkpoint("XiaomiMiMo/MiMo-VL-7B-RL-2508", parameters="7B"),
    ),
    auto_class=qwen2_5_vl.auto_class,
    groups=qwen2_5_vl.groups,
    tiny=qwen2_5_vl.tiny,
    media_tokens=qwen2_5_vl.media_tokens,
    accepts=("images",),
)
