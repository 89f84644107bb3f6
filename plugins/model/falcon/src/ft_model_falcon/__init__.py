"""Falcon (Almazrouei et al., 2023, arXiv:2311.16867): models of 7 to 180 billion parameters.

The instruct models end no turn: they go on with ``User:``, which their answers are trained to end
with. Attention does not keep the documents of a packed sequence apart, so packing is not accepted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ft.api import TINY, Checkpoint, Message, ModelFamily, Template, hookimpl

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Named(Template):
    """A format in which names stand before turns, and nothing behind them."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" ").removesuffix("\n\n"))


template = Named(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("User:",),
    published=("tiiuae/falcon-7b-instruct",),
    exact="prompts",
)


class Falcon(ModelFamily):
    """Its configuration works out the width of a head itself, and takes none."""

    def tiny_config(self, model_type: str) -> PretrainedConfig:
        from transformers import AutoConfig

        sizes = {key: size for key, size in TINY.items() if key != "head_dim"}
        return AutoConfig.for_model(model_type, **sizes)


family = Falcon(
    title="Falcon",
    vendor="TII",
    model_types=("falcon",),
    templates="falcon",
    checkpoints=(
        Checkpoint("tiiuae/falcon-7b", parameters="7B", base=True),
        Checkpoint("tiiuae/falcon-11B", parameters="11B", base=True),
        Checkpoint("tiiuae/falcon-40b", parameters="40B", base=True),
        Checkpoint("tiiuae/falcon-180b", parameters="180B", base=True),
        Checkpoint("tiiuae/falcon-7b-instruct", parameters="7B"),
        Checkpoint("tiiuae/falcon-40b-instruct", parameters="40B"),
        Checkpoint("tiiuae/falcon-180b-chat", parameters="180B"),
    ),
)
