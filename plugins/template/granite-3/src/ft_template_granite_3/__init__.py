"""The chat formats of Granite 3.0 to 3.3 by IBM.

``granite-3`` is that of 3.3 (and of the preview of 4.0), ``granite-3-0``, ``granite-3-1`` and
``granite-3-2`` are those of their releases. The published texts have no place for a call, so these
formats have no tools; thoughts are asked for by the variable ``thinking``, and are part of the
answer's text. Documents, which the published texts take, are not here.
"""

from __future__ import annotations

from pathlib import Path

from ft.api import Template


class Dated(Template):
    """States today's date, and asks for thoughts where ``thinking`` is true."""

    samples = ({}, {"variables": {"thinking": True}})


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _dated(kind: str, *published: str) -> Template:
    text = f"{{%- set kind = '{kind}' %}}\n{_read('chat.jinja')}"
    return Dated(text, stop=("<|end_of_text|>",), published=published)


v3_0 = Template(
    _read("chat_3_0.jinja"),
    stop=("<|end_of_text|>",),
    published=("ibm-granite/granite-3.0-8b-instruct",),
)
v3_1 = _dated("3.1", "ibm-granite/granite-3.1-8b-instruct")
v3_2 = _dated("3.2", "ibm-granite/granite-3.2-8b-instruct")
template = _dated("3.3", "ibm-granite/granite-3.3-8b-instruct")
