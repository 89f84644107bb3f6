"""Level 1: what the plugin says of itself to core and to the kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

import pydantic

from ft.api import VOCABULARY, Limit
from ft.conformance.check import ANY, check, checks
from ft.conformance.checks.described import bound
from ft.conformance.subject import Subject
from ft.recipe.keys import MODEL, PART_KINDS


@check(ANY, level=1, light=True)
def capability_words(subject: Subject) -> None:
    """The capabilities are words of the vocabulary.

    Why: by them ``ft check`` and ``ft matrix`` say what goes with what; a word that nobody else
    knows is never asked for.

    Passes: ``capabilities()`` answers for each sample of options, with words of
    ``ft.api.VOCABULARY``, and none is both needed and in conflict.

    Fails: ``accepts = {"quantised-base"}``.

    Example: ``ValueError: accepts names quantised-base, which the capability vocabulary … lacks``.
    """
    plugin = bound(subject)
    try:
        said = plugin.capabilities()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    words = {*said.needs, *said.accepts, *said.provides, *said.conflicts}
    unknown = sorted(words - VOCABULARY.keys())
    assert not unknown, f"{unknown[0]} is no word of ft.api.VOCABULARY"
    both = sorted(said.conflicts & (said.needs | said.provides))
    assert not both, f"it is in conflict with {both[0]}, which it needs or brings itself"


@check(ANY, level=1, light=True)
def suggestions(subject: Subject) -> None:
    """What it suggests are parts of a recipe.

    Why: suggestions are filled into every recipe that uses the plugin, and one that cannot be
    read ends all of them.

    Passes: the keys of ``suggests`` are keys of a recipe's parts; each value is a name, a mapping
    of options with or without a name, or a list of these.

    Fails: ``{"optimiser": "adamw"}``; ``{"optimizer": 3e-4}``.

    Example: ``it suggests optimiser, which is no part of a recipe``.
    """
    said: Any = subject.plugin.suggests
    assert isinstance(said, Mapping), f"suggests is no mapping: {said!r}"
    for key, value in said.items():
        assert key in PART_KINDS or key == MODEL, f"it suggests {key}, which is no part of a recipe"
        for entry in value if isinstance(value, (list, tuple)) else [value]:
            assert isinstance(entry, (str, Mapping)), (
                f"it suggests {key}: {entry!r}, which is neither a name nor options"
            )
            name = entry.get("name", "none") if isinstance(entry, Mapping) else entry
            assert isinstance(name, str), f"it suggests {key} of the name {name!r}"
            assert name, f"it suggests {key} without a name"


@check(ANY, level=1, light=True)
def limits(subject: Subject) -> None:
    """The limits are of capabilities that exist, and say why.

    Why: the reason is shown to the user whose recipe asks for what is not there; under
    ``options`` a partial capability is proved.

    Passes: the keys of ``limits`` are words of the vocabulary; each has a state that exists, a
    reason of a few words, and of a partial one the options bind; the plugin claims no word that
    it calls not implemented.

    Fails: a misspelt word; an empty reason; ``accepts`` and ``not-implemented`` of one word.

    Example: ``the limit of packing gives no reason``.
    """
    states = get_args(get_type_hints(Limit)["state"])
    claimed = bound(subject).capabilities() if subject.plugin.limits else None
    for word, limit in subject.plugin.limits.items():
        assert word in VOCABULARY, f"limits names {word}, which is no word of ft.api.VOCABULARY"
        assert limit.state in states, f"the limit of {word} has the state {limit.state!r}"
        assert len(limit.reason.split()) >= 2, f"the limit of {word} gives no reason"
        if limit.state == "partial":
            try:
                subject.bind(**limit.options)
            except pydantic.ValidationError as error:
                raise AssertionError(
                    f"the options under which {word} is there are refused: "
                    f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
                ) from None
        elif claimed is not None:
            words = claimed.accepts | claimed.provides
            assert word not in words, f"it claims {word}, and says that it is not implemented"


@check(ANY, level=1, light=True)
def known_failures(subject: Subject) -> None:
    """Known failures name a check, a reason and where it is followed up.

    Why: a failure that is expected is shown with its reason wherever the plugin's level is; one
    that nobody follows up stays for ever.

    Passes: each entry names a check of this kit that is made of this kind of plugin, once, with a
    reason of a few words and a link.

    Fails: a check that was renamed; ``issue="TODO"``.

    Example: ``known_failures names model.packed, which is no check of a model``.
    """
    seen: set[str] = set()
    for known in subject.plugin.known_failures:
        found = checks().get(known.check)
        assert found is not None, f"known_failures names {known.check}, which the kit does not have"
        assert found.applies_to(subject.kind), (
            f"known_failures names {known.check}, which is no check of a {subject.kind}"
        )
        assert known.check not in seen, f"known_failures names {known.check} twice"
        seen.add(known.check)
        assert len(known.reason.split()) >= 2, f"the known failure of {known.check} has no reason"
        assert known.issue.startswith(("https://", "http://")), (
            f"the known failure of {known.check} has no link to an issue: {known.issue!r}"
        )
