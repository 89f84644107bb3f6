"""Qwen2.5's format (Qwen Team, 2024, arXiv:2412.15115): ChatML with a system turn, and tools.

The checkpoints differ in what the system turn says where a conversation has no system text. Models
of other vendors that are made of Qwen2.5 keep the format.
"""

from __future__ import annotations

import re
from pathlib import Path

from ft.api import Message, Template, hookimpl, json_call, read_answer

_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class Qwen25Template(Template):
    """ChatML with ``<tool_call>`` around calls in JSON.

    ``default_system`` is a Jinja expression: the system text of a conversation without any.
    """

    provides = Template.provides | {"tools"}

    def __init__(self, default_system: str, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set default_system = {default_system} %}}\n{text}",
            stop=("<|im_end|>",),
            published=published,
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


template = Qwen25Template(
    "'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.'",
    "Qwen/Qwen2.5-7B-Instruct",
)
base = Qwen25Template("'You are a helpful assistant.'", "Qwen/Qwen2.5-7B")
math = Qwen25Template(
    r"'Please reason step by step, and put your final answer within \\boxed{}.'",
    "Qwen/Qwen2.5-Math-1.5B-Instruct",
)
