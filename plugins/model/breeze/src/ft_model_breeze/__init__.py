"""Breeze (Hsu et al., 2024, arXiv:2403.02712): made of Mistral 7B, with a larger vocabulary.

System text stands bare before the first question.
"""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Breeze(Template):
    """An answer begins with a space, which belongs to the format."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


template = Breeze((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))

family = ModelFamily(
    title="Breeze",
    vendor="MediaTek Research",
    model_types=("mistral",),
    templates="breeze",
    checkpoints=(
        Checkpoint("MediaTek-Research/Breeze-7B-Base-v1_0", parameters="7B", base=True),
        Checkpoint("MediaTek-Research/Breeze-7B-Instruct-v1_0", parameters="7B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
