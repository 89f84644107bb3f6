"""The chat formats of Idefics3 (arXiv:2408.12637) and SmolVLM (arXiv:2504.05299), with images.

A line for each turn: the role, a colon, what is said. They differ in the token that begins a
conversation and in the one that ends a turn. Videos have no place in the published texts.
"""

from __future__ import annotations

from pathlib import Path

from ft.api import Message, Template, hookimpl


class Lines(Template):
    """A format in which a space stands before each answer, which belongs to the format."""

    def __init__(self, begin: str, end: str, *published: str):
        text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
        super().__init__(
            f"{{%- set begin, end = '{begin}', '{end}' %}}\n{text}",
            stop=(end,),
            published=published,
        )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


template = Lines("<|begin_of_text|>", "<end_of_utterance>")
smolvlm = Lines(
    "<|im_start|>",
    "<end_of_utterance>",
    "HuggingFaceTB/SmolVLM-256M-Instruct",
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct",
)
smolvlm_base = Lines("<|im_start|>", "<|endoftext|>", "HuggingFaceTB/SmolVLM-256M-Base")
