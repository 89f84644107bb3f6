"""How outcomes come about, and the level that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ft.api import Adapter, Field, KnownFailure, Limit, PluginOptions
from ft.conformance.check import Check, NotRun, Skip, check, checks_for
from ft.conformance.examine import examine
from ft.conformance.outcome import Outcome, level_of
from ft.conformance.subject import Subject

ISSUE = "https://example.org/issues/1"


class Made(Adapter):
    """An adapter to be examined."""

    class Options(PluginOptions):
        bits: int = Field(8, description="bits of a weight")


def a_check(run: Callable[[Subject], None], **settings: Any) -> Check:
    """A check that the kit does not have."""
    return Check("adapter.made", "adapter", 2, "1.0", "Made.", run, **settings)


def outcome_of(run: Callable[[Subject], None], plugin: Any = None, **settings: Any) -> Outcome:
    """What becomes of a check of a plugin."""
    return examine(a_check(run, **settings), plugin or Made(), "made")


def passes(subject: Subject) -> None:
    """A check that any plugin passes."""


def fails(subject: Subject) -> None:
    """A check that every plugin fails."""
    raise AssertionError("it is wrong by 3")


# -- one check ---------------------------------------------------------------------------------


def test_an_assertion_says_what_is_wrong() -> None:
    found = outcome_of(fails)
    assert (found.status, found.message) == ("failed", "it is wrong by 3")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (Skip("no experts"), "skipped", "no experts"),
        (NotRun("no accelerator"), "not-run", "no accelerator"),
        (ValueError("odd\nindeed"), "failed", "ValueError: odd"),
        (SystemExit(4), "failed", "the plugin calls sys.exit(4)"),
        (BaseException("gone"), "failed", "BaseException: gone"),
        (AssertionError(), "failed", "AssertionError"),
    ],
)
def test_what_is_raised_decides(error: BaseException, status: str, message: str) -> None:
    def raises(subject: Subject) -> None:
        raise error

    found = outcome_of(raises)
    assert found.status == status
    assert found.message.startswith(message)


def test_an_interrupt_ends_the_kit() -> None:
    def interrupted(subject: Subject) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(interrupted)


def test_each_check_has_an_empty_folder_of_its_own() -> None:
    def writes(subject: Subject) -> None:
        assert list(subject.folder.iterdir()) == []
        (subject.folder / "file").write_text("x")

    class Twice(Made):
        samples = ({}, {"bits": 4})

    assert outcome_of(writes, Twice()).status == "passed"


def test_the_first_sample_that_fails_decides_and_is_named() -> None:
    class Three(Made):
        samples = ({}, {"bits": 4}, {"bits": 2})

    tried = []

    def only_eight(subject: Subject) -> None:
        tried.append(subject.bind().options.bits)
        if tried[-1] != 8:
            raise AssertionError(f"it has {tried[-1]} bits")

    found = outcome_of(only_eight, Three())
    assert found.message == "bits=4: it has 4 bits"
    assert tried == [8, 4]


# -- known failures are strict -----------------------------------------------------------------


class Known(Made):
    """One that says which check it fails."""

    known_failures = (KnownFailure("adapter.made", "half is done", ISSUE),)


def test_a_known_failure_that_fails_is_known_and_holds_the_level_down() -> None:
    found = outcome_of(fails, Known())
    assert (found.status, found.message) == ("known", f"half is done ({ISSUE})")
    assert found.counts_against
    assert not found.is_failure


@pytest.mark.parametrize("reason", [None, Skip("it does not apply")])
def test_a_known_failure_that_does_not_fail_is_one(reason: Exception | None) -> None:
    def mended(subject: Subject) -> None:
        if reason is not None:
            raise reason

    found = outcome_of(mended, Known())
    assert (found.status, found.message) == (
        "fixed",
        "it passes now: take it out of known_failures",
    )
    assert found.counts_against
    assert found.is_failure


def test_a_known_failure_that_cannot_be_tried_here_stays_open() -> None:
    def absent(subject: Subject) -> None:
        raise NotRun("no accelerator")

    assert outcome_of(absent, Known()).status == "not-run"


# -- capabilities ------------------------------------------------------------------------------


def refuses(subject: Subject) -> None:
    """The negative check."""
    if subject.bind().options.bits == 4:
        raise AssertionError("it does not refuse")


def test_one_with_the_capability_is_asked_whether_it_works() -> None:
    class Packs(Made):
        accepts = frozenset({"packing"})

    assert outcome_of(fails, Packs(), needs="packing", refuses=refuses).status == "failed"
    assert outcome_of(passes, Packs(), needs="packing", refuses=refuses).status == "passed"


class WithoutPacking(Made):
    """One that does not take packs."""

    accepts = frozenset()


def test_one_without_it_has_to_refuse() -> None:
    found = outcome_of(fails, WithoutPacking(), needs="packing", refuses=refuses)
    assert found.status == "refused"
    assert not found.counts_against

    class DoesNot(WithoutPacking):
        samples = ({"bits": 4},)

    found = outcome_of(fails, DoesNot(), needs="packing", refuses=refuses)
    assert (found.status, found.message) == ("failed", "it does not refuse")


def test_where_nothing_can_be_refused_the_check_is_skipped() -> None:
    found = outcome_of(fails, WithoutPacking(), needs="packing")
    assert (found.status, found.message) == ("skipped", "it does not have packing")


def test_one_that_is_not_there_yet_has_to_refuse_as_well() -> None:
    class Later(WithoutPacking):
        limits = {"packing": Limit("not-implemented", "the kernel takes one document")}

    found = outcome_of(fails, Later(), needs="packing", refuses=refuses)
    assert (found.status, found.message) == (
        "refused",
        "not-implemented: the kernel takes one document",
    )


def test_a_partial_one_is_tried_under_its_options() -> None:
    class Partly(Made):
        limits = {"packing": Limit("partial", "with 2 bits alone", {"bits": 2})}
        samples = ({"bits": 4},)

    def works_with_two(subject: Subject) -> None:
        if subject.bind().options.bits != 2:
            raise AssertionError("it was asked beyond its limit")

    found = outcome_of(works_with_two, Partly(), needs="packing", refuses=refuses)
    assert (found.status, found.message) == ("passed", "partial: with 2 bits alone")
    # other checks are not concerned
    assert outcome_of(works_with_two, Partly()).status == "failed"


# -- levels ------------------------------------------------------------------------------------


def outcomes(*but: tuple[str, str], level: int = 2) -> list[Outcome]:
    """All checks of adapters up to a level passed, save those that are given."""
    other = dict(but)
    return [
        Outcome(c.id, other.get(c.id, "passed"))  # type: ignore[arg-type]
        for c in checks_for("adapter", level)
    ]


def test_a_level_is_reached_when_all_checks_up_to_it_hold() -> None:
    assert level_of("adapter", outcomes()) == 2
    assert level_of("adapter", outcomes(level=1)) == 1
    assert level_of("adapter", outcomes(level=0)) == 0
    assert level_of("adapter", []) is None


@pytest.mark.parametrize("status", ["failed", "known", "fixed", "not-run"])
def test_one_outcome_caps_the_level(status: str) -> None:
    assert level_of("adapter", outcomes(("every.paper", status))) is None
    assert level_of("adapter", outcomes(("every.hooks", status))) == 0
    assert level_of("adapter", outcomes(("every.quiet", status))) == 1


@pytest.mark.parametrize("status", ["passed", "refused", "skipped"])
def test_these_do_not(status: str) -> None:
    assert level_of("adapter", outcomes(("every.paper", status), ("every.quiet", status))) == 2


def test_a_check_without_an_outcome_does_not_hold() -> None:
    found = [o for o in outcomes() if o.check != "every.hooks"]
    assert level_of("adapter", found) == 0


# -- declaring ---------------------------------------------------------------------------------


def test_two_checks_cannot_have_one_id() -> None:
    with pytest.raises(ValueError, match=r"two checks are called every\.paper"):

        @check("every", level=0)
        def paper(subject: Subject) -> None:
            """Again."""


@pytest.mark.parametrize("kind", ["adapter", "command"])
def test_every_kind_is_asked_first_what_all_are_asked(kind: str) -> None:
    """They see what a plugin changes the first time that it is used."""
    found = [(c.level, c.kind != "every") for c in checks_for(kind)]
    assert found == sorted(found)
