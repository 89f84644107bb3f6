"""What a chat template writes around the contents of messages, rendered once for many rows.

A template that only passes contents on, to be written as they are or without the white space
around them, writes the same around them in every conversation with the same roles. Whether it
does no more than that is read from its syntax tree; the least doubt means no.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

_EDGE = "\x1f"
"""White space to ``str.strip``: a placeholder that lost it was stripped."""
_PLACEHOLDER = re.compile(f"({_EDGE}?\0[0-9]+\0{_EDGE}?)")
_LOOP = frozenset({"first", "last", "index", "index0", "revindex", "revindex0", "length"})


class _Field(NamedTuple):
    part: int
    message: int
    stripped: bool


class Skeleton:
    """A rendered conversation with places for its contents."""

    def __init__(self, text: str, marks: Sequence[tuple[int, int]]):
        edges = sorted({0, len(text), *(edge for mark in marks for edge in mark)})
        self._parts: list[str] = []
        self._fields: list[_Field] = []
        begins: dict[int, int] = {}
        for start, end in zip(edges, [*edges[1:], len(text)], strict=True):
            begins[start] = len(self._parts)
            for piece in filter(None, _PLACEHOLDER.split(text[start:end])):
                if _PLACEHOLDER.fullmatch(piece):
                    number = int(piece.strip(f"{_EDGE}\0"))
                    stripped = not piece.startswith(_EDGE)
                    self._fields.append(_Field(len(self._parts), number, stripped))
                self._parts.append(piece)
        begins[len(text)] = len(self._parts)
        self._marks = [(begins[start], begins[end]) for start, end in marks]

    def fill(self, contents: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
        """The text with these contents, and where its marked stretches start and stop."""
        parts = self._parts.copy()
        for part, message, stripped in self._fields:
            content = contents[message]
            parts[part] = content.strip() if stripped else content
        ends = [0, *accumulate(map(len, parts))] if self._marks else []
        return "".join(parts), [(ends[start], ends[end]) for start, end in self._marks]


def placeholder(number: int) -> str:
    """What stands for the content of a message while a skeleton is rendered."""
    return f"{_EDGE}\0{number}\0{_EDGE}"


@lru_cache(maxsize=64)
def passes_contents_on(jinja: str) -> bool:
    """Whether a template does nothing with the content of a message but write it or strip it.

    It may ask for roles, for its variables and for its place in the loop over all messages.
    """
    from jinja2 import TemplateError, nodes
    from transformers.utils import chat_template_utils as library

    if "\0" in jinja or _EDGE in jinja:
        return False
    try:
        tree = library._compile_jinja_template(jinja).environment.parse(jinja)
    except TemplateError:
        return False
    # text that is captured could be looked at, and what a call or a filter does is not known
    if any(tree.find_all((nodes.AssignBlock, nodes.Macro, nodes.FilterBlock, nodes.Block))):
        return False
    loops = {"messages"}
    for loop in tree.find_all(nodes.For):
        over = loop.iter
        if isinstance(over, nodes.Name) and over.name == "messages":
            if loop.test or loop.recursive or not isinstance(loop.target, nodes.Name):
                return False
            loops.add(loop.target.name)
    return all(_is_harmless(path, loops) for path in _paths(tree, ()))


def _paths(node: Any, above: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Every node of a tree, with those above it before it."""
    path = (*above, node)
    yield path
    for child in node.iter_child_nodes():
        yield from _paths(child, path)


def _is_harmless(path: tuple[Any, ...], loops: set[str]) -> bool:
    from jinja2 import nodes

    node, parent = path[-1], path[-2] if len(path) > 1 else None
    if isinstance(node, nodes.Call):
        called = node.node
        if isinstance(called, nodes.Name):
            return called.name == "raise_exception"
        # the marks of what is trained on
        return isinstance(called, nodes.ExtensionAttribute) and isinstance(parent, nodes.CallBlock)
    if isinstance(node, nodes.CallBlock):
        return isinstance(node.call.node, nodes.ExtensionAttribute)
    if isinstance(node, nodes.Filter):
        return node.name == "trim" and not (node.args or node.kwargs)
    if isinstance(node, nodes.Name) and node.name == "loop":
        return isinstance(parent, nodes.Getattr) and parent.attr in _LOOP
    if not isinstance(node, nodes.Name) or node.name not in loops:
        return True
    up = len(path) - 2
    if node.name == "messages":
        if isinstance(parent, nodes.For) and parent.iter is node:
            return True
        if not (isinstance(parent, nodes.Getitem) and isinstance(parent.arg, nodes.Const)):
            return False
        if not isinstance(parent.arg.value, int):
            return False
        up -= 1
    elif isinstance(parent, nodes.For):
        return parent.target is node
    return _is_written(path[: up + 1])


def _is_written(path: tuple[Any, ...]) -> bool:
    """Whether the part of a message at the end of a path is its role, or a content that is only
    put together with other text on its way out."""
    from jinja2 import nodes

    *above, part = path
    if isinstance(part, nodes.Getattr):
        name = part.attr
    elif isinstance(part, nodes.Getitem) and isinstance(part.arg, nodes.Const):
        name = part.arg.value
    else:
        return False
    if name != "content":
        return name == "role"
    if above and isinstance(above[-1], nodes.Filter):
        above.pop()
    while above and isinstance(above[-1], (nodes.Add, nodes.Concat)):
        above.pop()
    return bool(above) and isinstance(above[-1], nodes.Output)
