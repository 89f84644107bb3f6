"""Adapters: they are switched off, on and for one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.api import InputError
from ft.conformance.adapters import (
    SHORT,
    START,
    assert_flags,
    assert_same,
    said_by,
    training_flags,
    with_family,
)
from ft.conformance.bench import (
    difference,
    logits,
    reference_family,
    refusal,
    save,
    some,
    tiny_run,
    train,
    weights,
)
from ft.conformance.check import Skip, check
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    pass


def _no_switch(subject: Subject) -> None:
    run = tiny_run(subject)
    with refusal("switching the adapter off"), run.use_adapter(None):
        pass


@check("adapter", needs="switchable-adapter", refuses=_no_switch)
def switches_off(subject: Subject) -> None:
    """Switched off it leaves the base, and switched on again it is back.

    Why: a preference trainer takes the model without its adapter for the reference. What stays
    on is in both, and the comparison is off by that much.

    Passes: after training, ``run.use_adapter(None)`` gives the logits of the base exactly, and
    after it those of the adapted model; what trains and what is frozen is the same before,
    inside and after, also when the body raises. An adapter that is not switchable:
    ``run.use_adapter`` raises ``InputError``.

    Fails: a bias that stays; a base that is unfrozen on the way.

    Example: ``switched off: the logits differ by 0.03 (relative root mean square)``.
    """
    run = tiny_run(subject, trainer=SHORT)
    base = logits(run.load_base())
    train(run)
    trained, flags = logits(run.model), training_flags(run)
    with run.use_adapter(None):
        assert_same(run.model, base, "switched off")
        assert_flags(run, flags, "while it is off")
    assert_same(run.model, trained, "switched on again")
    assert_flags(run, flags, "after it was off")
    try:
        with run.use_adapter(None):
            raise KeyError
    except KeyError:
        pass
    assert_same(run.model, trained, "switched on again by an error")


@check("adapter")
def brings_initial_weights_back(subject: Subject) -> None:
    """Inside of ``run.initial_weights()`` the model is as it was before the first step.

    Why: a trainer takes that for its reference in place of a second model in memory.

    Passes: the context gives the logits from before the first step (to one part in 100,000),
    and those of the trained model after it. ``None`` says that they are gone, and is skipped.

    Fails: an adapter that does not start at the base, and gives the base.

    Example: ``with its initial weights the model is 0.2 away from where it started``.
    """
    run = tiny_run(subject, trainer=SHORT)
    start = logits(run.model)
    train(run)
    trained, flags = logits(run.model), training_flags(run)
    context = run.initial_weights()
    if context is None:
        raise Skip("it does not bring them back")
    with context:
        away = difference(logits(run.model), start)
        assert away <= START, (
            f"with its initial weights the model is {away:.2g} away from where it started"
        )
    assert_same(run.model, trained, "after initial_weights()")
    assert_flags(run, flags, "after initial_weights()")


@check("adapter")
def holds_another(subject: Subject) -> None:
    """A second adapter on the same base leaves the first as it is.

    Why: trainers whose roles share a base (policy and critic, say) put several on it. The first
    belongs to the optimizer already.

    Passes: ``run.add_adapter`` changes neither the weights of the first, nor what it trains, nor
    the logits; under ``run.use_adapter`` a fresh one is not the first and trains, and one from
    a saved folder computes what was saved, frozen. Where ``run.add_adapter`` raises
    ``InputError`` the adapter holds one, and is skipped; it does not provide
    ``several-adapters`` then.

    Fails: a second one that takes the place of the first, or is active from then on.

    Example: ``after a second adapter was added: the logits differ by 0.1 (relative …)``.
    """
    run = tiny_run(subject, trainer=SHORT)
    start = logits(run.model)
    train(run)
    trained, saved, flags, before = logits(run.model), save(run), training_flags(run), weights(run)
    try:
        run.add_adapter("second")
    except InputError:
        claims = "several-adapters" in run.part("adapter").capabilities().provides
        assert not claims, "it provides several-adapters, and holds one"
        raise Skip("it holds one adapter") from None
    assert_same(run.model, trained, "after a second adapter was added")
    after = dict(run.model.named_parameters())
    harmed = [name for name, p in before.items() if name not in after or not p.equal(after[name])]
    assert not harmed, f"adding a second adapter changed {some(harmed)}"
    assert_flags(run, flags, "after a second adapter was added")
    fresh = after.keys() - before.keys()
    assert any(after[name].requires_grad for name in fresh), "nothing of the second adapter trains"
    with run.use_adapter("second"):
        found = logits(run.model)
        assert not found.equal(trained), "the second adapter computes what the first does"
        if "starts-at-base" in run.part("adapter").capabilities().provides:
            away = difference(found, start)
            assert away <= START, (
                f"the second adapter starts {away:.2g} away from where the first did"
            )
    assert_same(run.model, trained, "after the second adapter was used")
    run.add_adapter("third", saved)
    parts = [p for name, p in run.model.named_parameters() if name not in after]
    assert not any(p.requires_grad for p in parts), "an adapter from a folder trains"
    with run.use_adapter("third"):
        assert_same(run.model, trained, "the same adapter from its folder")


@check("adapter")
def says_what_it_needs(subject: Subject) -> None:
    """A model that it cannot adapt is refused, and ``needs`` says so beforehand.

    Why: not every architecture has linear layers, or decoder layers in a list. ``ft check``
    tells the user before anything is loaded, if the adapter says what it needs.

    Passes: on a model with neither of both it trains, or raises ``InputError`` while ``needs``
    names ``linear-layers`` or ``decoder-layers``.

    Fails: an error of a library; a refusal of what ``ft check`` lets pass.

    Example: ``a model without linear and decoder layers is refused (this model has 0 decoder
    layers), and needs does not name them``.
    """
    bare = with_family(subject, reference_family(num_hidden_layers=0))
    try:
        train(tiny_run(bare, trainer={"steps": 1}))
    except InputError as error:
        refused: str = error.message
    except Exception as error:
        raise AssertionError(
            f"a model without linear and decoder layers fails with {type(error).__name__} "
            f"({said_by(error)}) rather than with an ft.api.InputError that says so"
        ) from error
    else:
        return
    needs = subject.bind().capabilities().needs & {"linear-layers", "decoder-layers"}
    assert needs, (
        f"a model without linear and decoder layers is refused ({refused}), and needs does not "
        "name them"
    )
