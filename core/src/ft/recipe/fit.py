"""Whether plugins go together, from their capabilities alone, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ft.api.capability import VOCABULARY, Capabilities
from ft.api.dataset import Dataset
from ft.api.plugin import Plugin
from ft.api.trainer import Trainer
from ft.errors import PluginError


@dataclass(frozen=True, slots=True)
class Misfit:
    """One reason why a selection does not fit.

    ``plugins`` are those concerned, the one that refuses or lacks something first;
    ``capability`` is the word of the vocabulary that it is about, ``None`` for example types;
    ``lacking`` says that a further part could bring it.
    """

    sentence: str
    plugins: tuple[Plugin, ...]
    capability: str | None = None
    lacking: bool = False


def label(plugin: Plugin) -> str:
    """A plugin as messages name it: ``adapter:lora``."""
    return f"{plugin.kind}:{plugin.name}"


def capabilities(plugin: Plugin) -> Capabilities:
    """What a bound plugin says of itself; a wrong word is an error of that plugin."""
    try:
        return plugin.capabilities()
    except ValueError as error:
        raise PluginError(label(plugin), str(error)) from error


def misfits(plugins: Sequence[Plugin]) -> list[Misfit]:
    """Every reason why bound ``plugins`` do not fit together; none where they do."""
    said = [(plugin, capabilities(plugin)) for plugin in plugins]
    found: dict[str, Misfit] = {}
    for misfit in (
        *_unmet_needs(said),
        *_unaccepted(said),
        *_conflicts(said),
        *_shared_exclusives(said),
        *_untaken_examples(plugins),
    ):
        # two data sets of one format say the same thing twice
        found.setdefault(misfit.sentence, misfit)
    return list(found.values())


Said = Sequence[tuple[Plugin, Capabilities]]


def _unmet_needs(said: Said) -> Iterator[Misfit]:
    provided = frozenset[str]().union(*(words.provides for _, words in said))
    for plugin, words in said:
        for word in sorted(words.needs - provided):
            yield Misfit(
                f"{label(plugin)} needs {_meaning(word)}, and no other part of the recipe "
                "brings that.",
                (plugin,),
                word,
                lacking=True,
            )


def _unaccepted(said: Said) -> Iterator[Misfit]:
    for provider, brought in said:
        for word in sorted(brought.provides):
            for plugin, words in said:
                if plugin.kind in VOCABULARY[word].accepted_by and word not in words.accepts:
                    refuser = f"{label(plugin)} itself" if plugin is provider else label(plugin)
                    yield Misfit(
                        f"With {label(provider)} the run has {_meaning(word)}, which {refuser} "
                        "does not accept.",
                        (plugin,) if plugin is provider else (plugin, provider),
                        word,
                    )


def _conflicts(said: Said) -> Iterator[Misfit]:
    for plugin, words in said:
        for word in sorted(words.conflicts):
            for provider, brought in said:
                if provider is not plugin and word in brought.provides:
                    yield Misfit(
                        f"With {label(provider)} the run has {_meaning(word)}, which "
                        f"{label(plugin)} cannot work with.",
                        (plugin, provider),
                        word,
                    )


def _shared_exclusives(said: Said) -> Iterator[Misfit]:
    for word in (word for word, capability in VOCABULARY.items() if capability.exclusive):
        providers = [plugin for plugin, words in said if word in words.provides]
        for first, other in pairwise(providers):
            yield Misfit(
                f"{label(first)} and {label(other)} both bring {_meaning(word)}, and a run can "
                "have only one.",
                (other, first),
                word,
            )


def _untaken_examples(plugins: Sequence[Plugin]) -> Iterator[Misfit]:
    for trainer in (p for p in plugins if isinstance(p, Trainer) and p.takes):
        for data in (p for p in plugins if isinstance(p, Dataset) and p.produces):
            if not any(issubclass(made, trainer.takes) for made in data.produces):
                yield Misfit(
                    f"{label(trainer)} learns from {_types(trainer.takes)}, and "
                    f"{label(data)} makes {_types(data.produces)}.",
                    (trainer, data),
                )


def _meaning(word: str) -> str:
    return f"{VOCABULARY[word].sentence} ({word})"


def _types(types: Sequence[type]) -> str:
    return " or ".join(f"{made.__name__} examples" for made in types)
