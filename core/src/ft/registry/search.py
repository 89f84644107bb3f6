"""Installed plugins and those that registries list, looked at together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ft.plugins.index import Index, MatchEntry
from ft.plugins.record import Record
from ft.registry.model import Proof, Published, PublishedPlugin, Registry

_WILD = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Known:
    """One plugin of one distribution: installed, listed by registries, or both.

    ``record`` is the installed plugin, or one without version and location that stands for it.
    ``matches`` are all keys that lead to it, ``papers`` references, ``proofs`` the levels that
    registries record of its distribution, and ``registries`` the files that list it.
    """

    record: Record
    matches: tuple[tuple[str, str], ...] = ()
    papers: tuple[str, ...] = ()
    proofs: tuple[Proof, ...] = ()
    registries: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return bool(self.record.location)

    def mentions(self, word: str) -> bool:
        """Whether its names, texts, keys or papers hold ``word``, or a glob among its keys
        stands for it. ``word`` is in small letters.
        """
        r = self.record
        keys = [key.lower() for pair in self.matches for key in pair]
        texts = (r.id, r.distribution, r.summary, r.keywords, *self.papers)
        if word in " ".join((*texts, *keys)).lower():
            return True
        # a pattern costs much more than a look at how it begins
        return any(
            "*" in key[1:] and word.startswith(_WILD.split(key, 1)[0]) and fnmatchcase(word, key)
            for key in keys
        )


class Catalogue:
    """Every plugin that is installed or listed, by kind, name and distribution."""

    def __init__(self, index: Index, registry: Registry):
        here = {(r.distribution, r.id): r for r in index.records}
        listed: dict[tuple[str, str], list[tuple[Published, PublishedPlugin]]] = defaultdict(list)
        for published in registry.published:
            for plugin in published.plugins:
                listed[published.distribution, plugin.id].append((published, plugin))
        self.known: dict[tuple[str, str], Known] = {
            key: _known(here.get(key), index, listed.get(key, ()))
            for key in sorted({*here, *listed}, key=lambda key: (key[1], key[0]))
        }
        self.distributions = frozenset(distribution for distribution, _ in self.known)
        self.advisories = registry.advisories
        # an index of them all, which knows what a key leads to
        self._index = Index(
            [known.record for known in self.known.values()],
            [
                MatchEntry(group, key, known.record.distribution, known.record.value)
                for known in self.known.values()
                for group, key in known.matches
            ],
        )

    def search(self, words: Sequence[str]) -> list[Known]:
        """The plugins that mention all ``words``."""
        wanted = [word.lower() for word in words]
        return [known for known in self.known.values() if all(map(known.mentions, wanted))]

    def named(self, kind: str, name: str) -> list[Known]:
        """The plugins of a kind and name; ``name`` may be ``distribution/name``."""
        return [self._of(record) for record in self._index.claims(kind, name)]

    def match(self, group: str, key: str | Collection[str]) -> list[Known]:
        """The plugins that ``key`` leads to most closely (:meth:`ft.plugins.index.Index.match`)."""
        return [self._of(record) for record in self._index.match(group, key)]

    def _of(self, record: Record) -> Known:
        return self.known[record.distribution, record.id]


def _known(
    record: Record | None, index: Index, listed: Sequence[tuple[Published, PublishedPlugin]]
) -> Known:
    matches: list[tuple[str, str]] = []
    if record:
        for key in index.keys(record):
            group, _, rest = key.partition(" ")
            matches.append((group, rest))
    else:
        published, plugin = listed[0]
        record = Record(
            kind=plugin.kind,
            name=plugin.name,
            distribution=published.distribution,
            version="",
            summary=plugin.summary,
            value=plugin.id,
        )
    for _, plugin in listed:
        matches += plugin.matches
    return Known(
        record,
        tuple(dict.fromkeys(matches)),
        tuple(dict.fromkeys(paper for _, plugin in listed for paper in plugin.papers)),
        tuple(dict.fromkeys(proof for published, _ in listed for proof in published.proofs)),
        tuple(dict.fromkeys(str(published.source) for published, _ in listed)),
    )
