"""The chat format of Gemma 1 and 2 (arXiv:2403.08295, arXiv:2408.00118), without system text."""

from pathlib import Path

from ft.api import Template


class WithoutSystemText(Template):
    """A format that has no place for system text, and refuses it."""

    provides = Template.provides - {"system-text"}


template = WithoutSystemText(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<end_of_turn>",),
    published=("google/gemma-2-2b-it", "unsloth/gemma-2-9b-it", "unsloth/gemma-7b-it"),
)
