"""XuanYuan (Zhang et al., 2023, arXiv:2305.12002): Chinese models for finance.

Their checkpoints have no chat template; the format is the one that their model cards show.
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
    title="XuanYuan",
    vendor="Duxiaoman",
    model_types=("llama",),
    templates="xuanyuan",
    checkpoints=(
        Checkpoint("Duxiaoman-DI/XuanYuan-6B", parameters="6B", base=True),
        Checkpoint("Duxiaoman-DI/XuanYuan-70B", parameters="70B", base=True),
        Checkpoint("Duxiaoman-DI/XuanYuan2-70B", parameters="70B", base=True),
        Checkpoint("Duxiaoman-DI/XuanYuan-6B-Chat", parameters="6B"),
        Checkpoint("Duxiaoman-DI/XuanYuan-70B-Chat", parameters="70B"),
        Checkpoint("Duxiaoman-DI/XuanYuan2-70B-Chat", parameters="70B"),
    ),
    accepts=("packing",),
)
