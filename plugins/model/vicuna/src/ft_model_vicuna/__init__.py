"""Vicuna 1.5 (Zheng et al., 2023, arXiv:2306.05685): Llama 2 trained on conversations.

Its checkpoints have no chat template of their own; the format is that of FastChat.
"""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Spaced(Template):
    """A format in which a space stands before each answer."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


template = Spaced((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))

family = ModelFamily(
    title="Vicuna",
    vendor="LMSYS",
    model_types=("llama",),
    templates="vicuna",
    checkpoints=(
        Checkpoint("lmsys/vicuna-7b-v1.5", parameters="7B"),
        Checkpoint("lmsys/vicuna-13b-v1.5", parameters="13B"),
    ),
    accepts=("packing",),
)
