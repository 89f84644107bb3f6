"""Everything that is wrong with a recipe, collected so that it is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection

import pydantic

from ft.errors import InputError
from ft.recipe.document import Node
from ft.recipe.keys import Key, dotted


def did_you_mean(word: object, choices: Collection[str]) -> str:
    """A hint: the choice that ``word`` was probably meant to be, or all of them."""
    close = difflib.get_close_matches(str(word), list(choices), n=1)
    return f"did you mean {close[0]}?" if close else f"choose from: {', '.join(choices)}"


class Problems:
    """Collects what is wrong; ``place`` says where the value of a key was written."""

    def __init__(self, place: Callable[[Key], str]):
        self._place = place
        self._errors: list[InputError] = []

    def add(self, key: Key, message: str, hint: str | None = None) -> None:
        """Note one problem with the value of ``key``."""
        where = self._place(key)
        text = f"{dotted(key)}: {message}" if key else message
        self._errors.append(InputError(text, where=where, hint=hint))

    def add_invalid(
        self, key: Key, written: Node, error: pydantic.ValidationError, known: Collection[str]
    ) -> None:
        """Note what a pydantic model says of the mapping ``written`` at ``key``.

        ``known`` are the options that there are, to suggest the nearest to an unknown one.
        """
        by_key: dict[Key, list[str]] = {}
        hints: dict[Key, str] = {}
        for item in error.errors(include_url=False):
            loc, kind = item["loc"], item["type"]
            # pydantic puts the branches of a union into the location; keys alone are wanted
            depth = len(list(written.walk(loc))) - 1
            at = key + loc[: depth + (kind in ("missing", "extra_forbidden"))]
            value = item["input"]
            if kind == "missing":
                message = "is missing"
            elif kind == "extra_forbidden":
                message = "there is no such option"
                if len(loc) == 1:
                    hints[at] = did_you_mean(loc[0], known)
            elif kind in ("value_error", "assertion_error"):
                message = str(item.get("ctx", {}).get("error", item["msg"]))
            else:
                message = item["msg"][0].lower() + item["msg"][1:]
                if isinstance(value, (str, int, float)) and len(repr(value)) < 40:
                    message += f" (it is {value!r})"
            messages = by_key.setdefault(at, [])
            if message not in messages:
                messages.append(message)
        for at, messages in by_key.items():
            self.add(at, ", or ".join(messages), hints.get(at))

    def raise_any(self) -> None:
        """Raise one error that says everything collected so far."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise InputError("\n".join(str(error) for error in self._errors))
