"""Yi-VL (Young et al., 2024, arXiv:2403.04652): Yi with CLIP's vision tower in front, as LLaVA.

The checkpoints are those converted for transformers. The end token of the tokenizer ends an answer.
"""

from __future__ import annotations

from pathlib import Path

from ft.api import Checkpoint
from ft_model_llava_1_5 import Llava, Spaced
from ft_model_llava_1_5 import family as llava

template = Spaced((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))

family = Llava(
    title="Yi-VL",
    vendor="01.AI",
    model_types=llava.model_types,
    templates="yi-vl",
    checkpoints=(
        Checkpoint("BUAADreamer/Yi-VL-6B-hf", parameters="6B"),
        Checkpoint("BUAADreamer/Yi-VL-34B-hf", parameters="34B"),
    ),
    auto_class=llava.auto_class,
    groups=llava.groups,
    tiny=llava.tiny,
    media_tokens=llava.media_tokens,
    accepts=("images",),
)
