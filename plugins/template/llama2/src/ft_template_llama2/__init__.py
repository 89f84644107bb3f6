"""The chat format of Llama 2 (Touvron et al., 2023, arXiv:2307.09288)."""

from pathlib import Path

from ft.api import Message, Template, hookimpl


class Llama2(Template):
    """System text stands within the first question; a space on either side of each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" ").removesuffix(" "))


template = Llama2(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    published=("codellama/CodeLlama-7b-Instruct-hf", "huggyllama/llama-7b"),
)
