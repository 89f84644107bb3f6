"""YAML text to values that know where they were written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ft.errors import InputError
from ft.recipe.keys import Key

MAX_VALUES = 100_000
"""Aliases can make a small file expand without end; no recipe is as large as this."""


@dataclass(slots=True)
class Node:
    """A value and the place where it was written (``recipe.yaml:12``, ``the command line``).

    A mapping holds nodes by key and a list holds nodes; anything else is a plain scalar.
    """

    value: Any
    place: str

    @classmethod
    def of(cls, value: Any, place: str) -> Node:
        """Plain ``value`` as nodes that were all written at ``place``."""
        if isinstance(value, Mapping):
            return cls({key: cls.of(child, place) for key, child in value.items()}, place)
        if isinstance(value, (list, tuple)):
            return cls([cls.of(child, place) for child in value], place)
        return cls(value, place)

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self, key: Key) -> Iterator[Node]:
        """The nodes on the way to ``key``, as far as it exists; this one first."""
        node = self
        yield node
        for part in key:
            if isinstance(node.value, dict) and part in node.value:
                node = node.value[part]
            elif isinstance(node.value, list) and part in range(len(node.value)):
                node = node.value[part]  # type: ignore[index]
            else:
                return
            yield node


class _Loader(yaml.SafeLoader):
    """A loader with the scalars of YAML 1.2 in place of those of YAML 1.1.

    In 1.1, which PyYAML follows, ``2e-4`` is text and ``no`` is false.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}


_NULL, _BOOL, _INT, _FLOAT, _STR = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")
)
_SCALARS = {
    _NULL: (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    _BOOL: (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    _INT: (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    _FLOAT: (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)

IMPLICIT_RESOLVERS = _Loader.yaml_implicit_resolvers
"""Which plain text is read as something else, for who writes recipes."""


def parse_yaml(text: str, name: str | None, place: str | None = None) -> Node:
    """Parse ``text``, whose lines are called ``name:line``, or all of them ``place``.

    Raises :class:`InputError` for anything but one well-formed document of plain values.
    """
    return _Builder(name, place).parse(text)


class _Builder:
    def __init__(self, name: str | None, place: str | None):
        self._name = name
        self._place = place
        self._count = 0

    def parse(self, text: str) -> Node:
        try:
            root = yaml.compose(text, Loader=_Loader)
            if root is None:
                return Node(None, self._at(0))
            return self._build(root, self._at(root.start_mark.line))
        except RecursionError:
            raise InputError(
                "values are nested too deeply, or an alias contains itself", where=self._at(0)
            ) from None
        except yaml.reader.ReaderError as error:
            raise InputError(
                f"character U+{error.character:04X} is not allowed in YAML",
                where=self._at(text.count("\n", 0, error.position)),
                hint="delete it, or write it as an escape in double quotes",
            ) from None
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except (ValueError, OverflowError):
            # PyYAML hands an escape such as \UFFFFFFFF to chr() as it is
            raise InputError("an escape names no character", where=self._at(0)) from None

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> InputError:
        mark = error.problem_mark or error.context_mark
        column = f" at column {mark.column + 1}" if mark else ""
        context = f" ({error.context})" if error.context else ""
        return InputError(
            f"not valid YAML: {error.problem}{context}{column}",
            where=self._at(mark.line if mark else 0),
            hint="keys of one level start in one column; quote text that holds ': ' or starts "
            "with one of @ ` { [ * & ! %",
        )

    def _at(self, line: int) -> str:
        return self._place or f"{self._name}:{line + 1}"

    def _build(self, node: yaml.Node, place: str) -> Node:
        self._count += 1
        if self._count > MAX_VALUES:
            raise InputError(f"more than {MAX_VALUES:,} values", where=place)
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return Node(self._mapping(node), place)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            items = [self._build(item, self._at(item.start_mark.line)) for item in node.value]
            return Node(items, place)
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node), place)
        raise self._bad_tag(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Node]:
        out: dict[Any, Node] = {}
        for key_node, value_node in node.value:
            place = self._at(key_node.start_mark.line)
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError("a key must be a plain word", where=place)
            key = self._scalar(key_node)
            if key in out:
                raise InputError(
                    f"{key} is written twice",
                    where=place,
                    hint=f"the first is at {out[key].place}; keep one of them",
                )
            out[key] = self._build(value_node, place)
        return out

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, place = node.value, self._at(node.start_mark.line)
        try:
            if node.tag == _STR:
                text.encode()
                return text
            if node.tag == _NULL:
                return None
            if node.tag == _BOOL:
                return {"true": True, "false": False}[text.lower()]
            if node.tag == _INT:
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            if node.tag == _FLOAT:
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        except UnicodeEncodeError:
            raise InputError("half of a surrogate pair is no character", where=place) from None
        except (ValueError, KeyError):
            kind = node.tag.rsplit(":", 1)[-1]
            raise InputError(f"{text[:40]!r} cannot be read as {kind}", where=place) from None
        raise self._bad_tag(node)

    def _bad_tag(self, node: yaml.Node) -> InputError:
        return InputError(
            f"the tag {node.tag} is not allowed in a recipe",
            where=self._at(node.start_mark.line),
            hint="write a plain value, list or mapping",
        )
