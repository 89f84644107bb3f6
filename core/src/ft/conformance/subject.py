"""The plugin under test, as a check gets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ft.api import ModelFamily, Plugin
from ft.conformance.reference import REFERENCES
from ft.plugins.record import Record

Support = Literal["full", "partial", "not-implemented", "unsupported"]


@dataclass(frozen=True)
class Subject:
    """A plugin with one set of options, and of a family one model type.

    ``folder`` is the check's own, empty at its start. ``record`` is the installed metadata,
    ``None`` for an object that comes from no distribution. ``companions`` are plugins that
    stand in for the reference plugins of their kinds, such as a family's own template.
    """

    plugin: Plugin
    name: str
    folder: Path
    record: Record | None = None
    sample: Mapping[str, Any] = field(default_factory=dict)
    model_type: str = ""
    companions: Mapping[str, Plugin] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return self.plugin.kind

    def bind(self, **options: Any) -> Any:
        """The plugin bound to its sample of options; ``options`` beat those."""
        given = {
            name: value(self.folder / "sample") if callable(value) else value
            for name, value in self.sample.items()
        }
        return self.plugin.bind(self.name, {**given, **options})

    def partner(self, kind: str) -> Plugin:
        """The plugin of another kind that goes with it, unbound."""
        return self.plugin if kind == self.kind else self.companions.get(kind, REFERENCES[kind])

    def support(self, word: str) -> Support:
        """How far the plugin has a capability: provided or accepted in full, or as it says."""
        limit = self.plugin.limits.get(word)
        if limit is not None:
            return limit.state
        said = self.bind().capabilities()
        return "full" if word in said.provides | said.accepts | said.needs else "unsupported"

    def under_limit(self, word: str) -> Subject:
        """The same under the options in which a partial capability is there."""
        limit = self.plugin.limits.get(word)
        if limit is None or limit.state != "partial":
            return self
        return replace(self, sample={**self.sample, **limit.options})

    def measure(self, name: str, value: float) -> None:
        """Note a figure, which the reports show; its unit is in its name."""
        self.measures[name] = value

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def variants(
    plugin: Plugin,
    name: str,
    folder: Path,
    record: Record | None = None,
    companions: Mapping[str, Plugin] | None = None,
) -> Iterator[tuple[str, Subject]]:
    """The subjects of a plugin, each with a label: its samples, and a family's model types."""
    types: Sequence[str] = ("",)
    if isinstance(plugin, ModelFamily):
        # one that claims any type says by its test sizes on which it is tried
        types = plugin.model_types or tuple(plugin.tiny) or ("",)
    for sample in plugin.samples:
        for model_type in types:
            settings = ", ".join(f"{key}={value}" for key, value in sample.items())
            label = ", ".join(part for part in (model_type, settings) if part)
            yield (
                label if len(types) * len(plugin.samples) > 1 else "",
                Subject(plugin, name, folder, record, sample, model_type, companions or {}),
            )
