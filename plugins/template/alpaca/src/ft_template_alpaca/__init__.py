"""The Alpaca format (Taori et al., 2023, Stanford Alpaca): headings in plain text.

It needs no tokens that a base model does not have. A turn ends with the tokenizer's end token.
An input that belongs to an instruction stands in the instruction's text.
"""

from pathlib import Path

from ft.api import Template

template = Template((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))
