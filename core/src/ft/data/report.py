"""What became of the rows of a run's data, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ft.data.fit import Fitted


@dataclass(slots=True)
class Report:
    """Counts of one preparation.

    ``rows`` were read, ``bad`` of them skipped (``bad_reasons`` has the first few), and
    ``chosen`` is what the weights made of the good ones. Of those, ``dropped`` counts by
    reason and ``kept`` is what is trained on. ``truncated`` rows were cut to the longest
    length, ``truncated_answers`` of them inside what is trained on, and ``split`` ones were cut
    into several. ``trained_tokens`` are
    the tokens with a loss, among all ``tokens``. ``digest`` is the sha256 of each data file.
    """

    rows: int = 0
    bad: int = 0
    bad_reasons: list[str] = field(default_factory=list)
    chosen: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    truncated_answers: int = 0
    split: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    digest: dict[str, str] = field(default_factory=dict)

    def add(self, result: Fitted) -> None:
        """Count an example that was held against the length limit."""
        self.truncated += result.truncated
        self.truncated_answers += result.truncated_answer
        self.split += result.split
        if result.dropped:
            self.dropped[result.dropped] += 1
        self.tokens += result.tokens
        self.trained_tokens += result.trained

    def as_dict(self) -> dict[str, Any]:
        """Everything but the digests, for a report file."""
        names = [name for name in self.__slots__ if name != "digest"]
        return {name: getattr(self, name) for name in names} | {"dropped": dict(self.dropped)}

    def text(self) -> str:
        """One short line."""
        parts = [f"{self.kept:,} rows, {self.tokens:,} tokens, {self.trained_tokens:,} trained"]
        if self.bad:
            parts.append(f"{self.bad:,} bad rows skipped")
        parts += [f"{count:,} dropped: {reason}" for reason, count in self.dropped.items()]
        if self.truncated:
            parts.append(
                f"{self.truncated:,} cut to the longest length "
                f"({self.truncated_answers:,} inside what is trained on)"
            )
        if self.split:
            parts.append(f"{self.split:,} longer ones cut into several rows")
        return "; ".join(parts)
