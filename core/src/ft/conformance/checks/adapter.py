"""Adapters: they train what they say and nothing else, and their result comes back."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Process, Run
from ft.conformance.bench import (
    assert_close,
    assert_refuses,
    assert_resumes,
    changed,
    difference,
    gradients,
    logits,
    packed,
    random_rows,
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
    from torch import Tensor, nn

START = 1e-5
"""How far logits may lie from the base's at the start: a computed identity is not exact."""
SHORT = {"steps": 3}
"""Enough training where anything that moved will do."""


# -- training ----------------------------------------------------------------------------------


@check("adapter")
def loss_falls(subject: Subject) -> None:
    """The loss falls.

    Why: an update that is not added to anything, that is scaled to nothing, or whose factors
    both start at zero trains without an error and learns nothing.

    Passes: eight optimizer steps end with a loss over all eight rows at least one part in 200
    below that before the first.

    Fails: an update behind ``torch.no_grad()``; alpha divided by the rank twice.

    Example: ``the loss over all rows went from 6.31 to 6.31 in 8 steps``.
    """
    _train_and_fall(tiny_run(subject))


@check("adapter")
def trains_what_it_declares(subject: Subject) -> None:
    """Exactly the declared parameters train.

    Why: what has ``requires_grad`` after ``ft_adapt_model`` is what the optimizer gets, what a
    checkpoint keeps and what the user is told. A parameter that changes beside it is lost at
    the next resume; one that is declared and cannot change costs memory for nothing.

    Passes: each declared parameter receives a gradient and is another after three steps; no
    other parameter of the model is, except for one that ``ft_checkpoint_state`` keeps.

    Fails: a gate that the forward pass does not use; a running mean kept in a parameter.

    Example: ``these are declared and never change: layers.0.q_proj.gate``.
    """
    run = tiny_run(subject, trainer=SHORT)
    _, found = gradients(run, [run.data])
    without = run.trained_names - found.keys()
    assert not without, f"these are declared and receive no gradient: {some(without)}"
    before = weights(run)
    train(run)
    differing = changed(run, before)
    still = run.trained_names - differing
    assert not still, f"these are declared and never change: {some(still)}"
    kept = run.hook.ft_checkpoint_state(run=run, model=run.model).keys()
    beside = differing - run.trained_names - kept
    assert not beside, f"these change and are not declared: {some(beside)}"


@check("adapter", needs="frozen-base")
def base_stays(subject: Subject) -> None:
    """Training leaves the base weights as they are, bit for bit.

    Why: the result is saved without the base. If that moved, the saved part belongs to a model
    that is nowhere; a base that a second role shares changes under it.

    Passes: every weight of the base that is in the adapted model is there after three steps,
    with the same bits, under whatever name.

    Fails: norms that were not frozen; a base weight that the update is written into.

    Example: ``training changed weights of the base: norm.weight``.
    """
    run = tiny_run(subject, trainer=SHORT)
    there = _base_in(run, run.load_base())
    train(run)
    gone = _gone(run, there)
    assert not gone, f"training changed weights of the base: {some(gone)}"


@check("adapter", needs="starts-at-base")
def starts_at_base(subject: Subject) -> None:
    """Before the first step the adapted model computes what the base does.

    Why: a user who fine-tunes expects to start from the model that was chosen; a trainer that
    compares with the start takes the base for it.

    Passes: the logits of the freshly adapted model differ from the base's by at most one part
    in 100,000 (relative root mean square).

    Fails: an update whose factors are both random.

    Example: ``the adapted model starts 0.31 away from the base``.
    """
    run = tiny_run(subject)
    away = difference(logits(run.model), logits(run.load_base()))
    assert away <= START, f"the adapted model starts {away:.2g} away from the base"


@check("adapter", needs="frozen-base")
def trains_in_float32(subject: Subject) -> None:
    """On a base in bfloat16, what trains is float32.

    Why: on an accelerator a frozen base is loaded in bfloat16, which has 8 bits: an update of
    a usual learning rate is rounded away, and the loss stands still without an error.

    Passes: the declared parameters are float32, the base stays in bfloat16, and eight steps in
    bfloat16 precision end with a lower loss.

    Fails: an update made like the weight that it stands beside; a base that is converted.

    Example: ``these train in another type than float32: layers.0.q_proj.down (bfloat16)``.
    """
    import torch

    family = subject.partner("model").bind("model", {"dtype": "bfloat16"})
    # all rows in each step, so that losses can be compared
    run = tiny_run(subject, model=family, trainer={"precision": "bfloat16", "batch_size": 8})
    narrow = [
        f"{name} ({str(p.dtype).removeprefix('torch.')})"
        for name, p in run.trainable()
        if p.dtype != torch.float32
    ]
    assert not narrow, f"these train in another type than float32: {some(narrow)}"
    assert _base_in(run, run.load_base()), "nothing of the base is there in bfloat16 any more"
    losses = train(run)
    assert losses[-1] < 0.995 * losses[0], (
        f"on a base in bfloat16 the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    )


def _no_packing(subject: Subject) -> None:
    assert_refuses(subject, "packing")


@check("adapter", needs="packing", refuses=_no_packing)
def packs(subject: Subject) -> None:
    """Documents packed into one sequence have the loss that they have alone.

    Why: packing is to save time and to change nothing. An adapter that looks at where a token
    stands in the sequence, or that puts something in front of it, sees another place.

    Passes: after some training, loss and gradients of packed rows equal those of the same rows
    in a padded batch. An adapter that does not accept packing: ``ft check`` refuses the recipe.

    Fails: a learned vector for each position, counted from the start of the sequence.

    Example: ``the loss of packed rows: expected 5.91 and got 6.02``.
    """
    rows = random_rows(4)
    run = tiny_run(subject, rows=rows, trainer=SHORT)
    train(run)
    alone, expected = gradients(run, [rows])
    together, found = gradients(run, [packed(rows)])
    assert_close(together, alone, "the loss of packed rows")
    for name, gradient in expected.items():
        assert_close(found[name], gradient, f"packed rows: {name}.grad", rtol=1e-3, atol=1e-4)


def _no_quantized_base(subject: Subject) -> None:
    assert_refuses(subject, "quantized-base")


@check("adapter", needs="quantized-base", refuses=_no_quantized_base)
def trains_on_a_quantized_base(subject: Subject) -> None:
    """It trains on a quantized base, and leaves that as it is.

    Why: the weights are integers then, with scales beside them, in layers of another class:
    what reads ``weight.dtype`` or multiplies the weight itself comes out wrong or not at all.

    Passes: with the reference quantizer the loss falls from where it should start, no bit of the
    quantized weights and scales changes, and the saved result on a freshly quantized base gives
    the same logits. An adapter that does not accept ``quantized-base``: ``ft check`` refuses the
    recipe.

    Fails: an update in the type of the weight; scales that train.

    Example: ``RuntimeError: Only Tensors of floating point dtype can require gradients``.
    """
    run = _quantized_run(subject)
    plain = run.load_base()
    if "starts-at-base" in run.part("adapter").capabilities().provides:
        away = difference(logits(run.model), logits(plain))
        assert away <= START, f"it starts {away:.2g} away from the quantized base"
    there = _base_in(run, plain)
    _train_and_fall(run)
    gone = _gone(run, there)
    assert not gone, f"training changed weights of the quantized base: {some(gone)}"
    again = _quantized_run(subject, "again")
    restored = again.hook.ft_restore_model(run=again, folder=save(run))
    _assert_same(restored, logits(run.model), "restored on a freshly quantized base")


# -- saving and coming back --------------------------------------------------------------------


@check("adapter")
def saves_and_restores(subject: Subject) -> None:
    """What was saved comes back: the same logits, bit for bit.

    Why: the saved folder is all that a user keeps. What is not in it, or is drawn at random
    again, is lost.

    Passes: ``ft_restore_model``, in a new run with another seed and with nothing of the first
    but the saved folder, gives the logits of the trained model exactly.

    Fails: a layer left out of the file; a file that is not read; a random projection that is
    drawn again from the run's seed.

    Example: ``restored from its folder: the logits differ by 0.2 (relative root mean square)``.
    """
    run = tiny_run(subject, trainer=SHORT)
    train(run)
    trained = logits(run.model)
    kept = shutil.copytree(save(run), subject.folder / "kept")
    shutil.rmtree(run.folder)
    fresh = tiny_run(subject, folder="fresh", seed=7)
    _assert_same(_restored(fresh, kept), trained, "restored from its folder")


@check("adapter")
def saves_in_the_main_process(subject: Subject) -> None:
    """Of several processes the main one alone writes.

    Why: every process is asked to save, so that divided weights can be gathered. Two that
    write one file damage it; on another machine the folder is not even there.

    Passes: ``ft_save_model`` in the second of two processes leaves no file behind, and raises
    nothing.

    Fails: a save that does not ask ``run.process.is_main``.

    Example: ``a process that is not the main one writes update.safetensors``.
    """
    run = tiny_run(subject)
    run.process = Process(1, 2)
    folder = subject.folder / "elsewhere"
    run.hook.ft_save_model(run=run, model=run.model, folder=folder)
    written = [path.name for path in folder.rglob("*")] if folder.exists() else []
    assert not folder.exists(), (
        f"a process that is not the main one writes {some(written) or 'the folder'}"
    )


@check("adapter")
def refuses_another_base(subject: Subject) -> None:
    """A result that belongs to another base is refused, if it needs a base.

    Why: people mix up folders. A crash inside of a library does not say so; an update that is
    passed over where it does not fit leaves a model that answers, and was never tuned.

    Passes: on a base of another width ``ft_restore_model`` raises ``InputError``. A whole model
    needs no base, and comes back as it was.

    Fails: an error of torch; shapes that are skipped.

    Example: ``on a base of another width it fails with RuntimeError (The size of tensor a …)``.
    """
    run = tiny_run(subject, trainer=SHORT)
    train(run)
    trained, saved = logits(run.model), save(run)
    wider = reference_family(hidden_size=96, intermediate_size=160)
    other = tiny_run(_on(subject, wider), folder="wider")
    try:
        restored = other.hook.ft_restore_model(run=other, folder=saved)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(
            f"on a base of another width it fails with {type(error).__name__} ({_line(error)}) "
            "rather than with an ft.api.InputError that says so"
        ) from error
    found = logits(restored)
    assert found.equal(trained), (
        "on a base of another width it is restored without a word, and computes something else"
    )


@check("adapter")
def resumes(subject: Subject) -> None:
    """A run that was killed goes on exactly.

    Why: a checkpoint holds what trains, by ``ft_checkpoint_state``. What it leaves out begins
    anew, and nobody sees it in the loss for a long time.

    Passes: a run that goes on from its checkpoint at step 2 has the losses and the weights at
    step 4 of one that was never stopped, bit for bit.

    Fails: a checkpoint without the norms; tensors that are put back into copies.

    Example: ``after resuming at step 2 the losses are [5.1, 4.9], and without a stop [5.0, 4.8]``.
    """
    settings = {"steps": 4, "save_every": 2, "keep_checkpoints": 9}
    assert_resumes(lambda folder: tiny_run(subject, folder=folder, trainer=settings), 2)


@check("adapter")
def adapts_alike(subject: Subject) -> None:
    """Adapting the model once more gives the same frozen weights.

    Why: ``ft_adapt_model`` fires again when a run resumes, and for a frozen copy that a trainer
    compares with; only what trains is put back into it. A frozen part that is drawn from the
    global random numbers is another by then.

    Passes: after training, ``run.frozen_copy()`` computes what the model does, bit for bit, has
    nothing that trains, and leaves the model as it is.

    Fails: a random projection without a generator of its own; a copy that shares weights.

    Example: ``a frozen copy: the logits differ by 0.4 (relative root mean square)``.
    """
    import torch

    run = tiny_run(subject, trainer=SHORT)
    train(run)
    trained = logits(run.model)
    torch.manual_seed(7)  # as after anything else that draws
    copy = run.frozen_copy()
    _assert_same(copy, trained, "a frozen copy")
    trains = [name for name, p in copy.named_parameters() if p.requires_grad]
    assert not trains, f"in a frozen copy these train: {some(trains)}"
    own = dict(run.model.named_parameters())
    frozen = [name for name, p in run.trainable() if name in own and not p.requires_grad]
    assert not frozen, f"making a frozen copy froze the model's own: {some(frozen)}"
    _assert_same(run.model, trained, "the model after a frozen copy was made")


# -- merging -----------------------------------------------------------------------------------


def _no_merge(subject: Subject) -> None:
    """A result that is no whole model refuses to be merged."""
    run = tiny_run(subject, trainer=SHORT)
    train(run)
    model = _restored(tiny_run(subject, folder="fresh"), save(run))
    expected = logits(model)
    try:
        merged = run.merge(model)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(
            f"merging fails with {type(error).__name__} ({_line(error)}) rather than with an "
            "ft.api.InputError that says that it cannot be merged"
        ) from error
    _assert_whole(subject, run, merged)
    _assert_same(merged, expected, "it is not mergeable; a whole model, merged")


@check("adapter", needs="mergeable", refuses=_no_merge)
def merges(subject: Subject) -> None:
    """The merged model computes what the unmerged one does.

    Why: what is served is the merged model. A wrong scale, or a layer that was forgotten, makes
    it another than the one that was evaluated.

    Passes: the restored result, merged, differs in its logits by at most ``merge_tolerance``
    (relative root mean square, in float32), and has the weights of the base by name, so that it
    can be saved as a checkpoint. An adapter that is not mergeable: its result is a whole model,
    or ``run.merge`` raises ``InputError``.

    Fails: alpha over rank where training took alpha over its root; a merge that leaves the
    update beside the weight.

    Example: ``merging moves the logits by 0.2, and merge_tolerance is 0.0001``.
    """
    run = tiny_run(subject, trainer=SHORT)
    train(run)
    _assert_merges(subject, tiny_run(subject, folder="fresh"), save(run))


@check("adapter", needs="quantized-base")
def merges_into_full_precision(subject: Subject) -> None:
    """What was trained on a quantized base merges into a full-precision one, or refuses.

    Why: an export loads the base without the quantizer and merges there. Adding an update to
    rounded weights loses most of it, or fails in the middle with an error of torch.

    Passes: restored on the full-precision base, the result merges within ``merge_tolerance``;
    merging on the quantized base does that as well or raises ``InputError``, which is allowed
    for both. An adapter that is not mergeable is not asked.

    Fails: a sum written into integer weights.

    Example: ``merging into the quantized base fails with RuntimeError (result type Float …)``.
    """
    if subject.support("mergeable") not in ("full", "partial"):
        raise Skip("it is not mergeable")
    run = _quantized_run(subject.under_limit("mergeable"), trainer=SHORT)
    train(run)
    saved = save(run)
    for what, fresh in (
        ("the full-precision base", tiny_run(subject, folder="export")),
        ("the quantized base", _quantized_run(subject, "quantized")),
    ):
        try:
            _assert_merges(subject, fresh, saved)
        except InputError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"merging into {what} fails with {type(error).__name__} ({_line(error)}) rather "
                "than with an ft.api.InputError that says that it cannot be done"
            ) from error


# -- switching ---------------------------------------------------------------------------------


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
    trained, flags = logits(run.model), _flags(run)
    with run.use_adapter(None):
        _assert_same(run.model, base, "switched off")
        _assert_flags(run, flags, "while it is off")
    _assert_same(run.model, trained, "switched on again")
    _assert_flags(run, flags, "after it was off")
    try:
        with run.use_adapter(None):
            raise KeyError
    except KeyError:
        pass
    _assert_same(run.model, trained, "switched on again by an error")


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
    trained, flags = logits(run.model), _flags(run)
    context = run.initial_weights()
    if context is None:
        raise Skip("it does not bring them back")
    with context:
        away = difference(logits(run.model), start)
        assert away <= START, (
            f"with its initial weights the model is {away:.2g} away from where it started"
        )
    _assert_same(run.model, trained, "after initial_weights()")
    _assert_flags(run, flags, "after initial_weights()")


@check("adapter")
def holds_another(subject: Subject) -> None:
    """A second adapter on the same base leaves the first as it is.

    Why: trainers whose roles share a base (policy and critic, say) put several on it. The first
    belongs to the optimizer already.

    Passes: ``run.add_adapter`` changes neither the weights of the first, nor what it trains, nor
    the logits; under ``run.use_adapter`` a fresh one is not the first and trains, and one from
    a saved folder computes what was saved, frozen. Where ``run.add_adapter`` raises
    ``InputError`` the adapter holds one, and is skipped.

    Fails: a second one that takes the place of the first, or is active from then on.

    Example: ``after a second adapter was added: the logits differ by 0.1 (relative …)``.
    """
    run = tiny_run(subject, trainer=SHORT)
    start = logits(run.model)
    train(run)
    trained, saved, flags, before = logits(run.model), save(run), _flags(run), weights(run)
    try:
        run.add_adapter("second")
    except InputError:
        raise Skip("it holds one adapter") from None
    _assert_same(run.model, trained, "after a second adapter was added")
    after = dict(run.model.named_parameters())
    harmed = [name for name, p in before.items() if name not in after or not p.equal(after[name])]
    assert not harmed, f"adding a second adapter changed {some(harmed)}"
    _assert_flags(run, flags, "after a second adapter was added")
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
    _assert_same(run.model, trained, "after the second adapter was used")
    run.add_adapter("third", saved)
    parts = [p for name, p in run.model.named_parameters() if name not in after]
    assert not any(p.requires_grad for p in parts), "an adapter from a folder trains"
    with run.use_adapter("third"):
        _assert_same(run.model, trained, "the same adapter from its folder")


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
    bare = _on(subject, reference_family(num_hidden_layers=0))
    try:
        train(tiny_run(bare, trainer={"steps": 1}))
    except InputError as error:
        refused: str = error.message
    except Exception as error:
        raise AssertionError(
            f"a model without linear and decoder layers fails with {type(error).__name__} "
            f"({_line(error)}) rather than with an ft.api.InputError that says so"
        ) from error
    else:
        return
    needs = subject.bind().capabilities().needs & {"linear-layers", "decoder-layers"}
    assert needs, (
        f"a model without linear and decoder layers is refused ({refused}), and needs does not "
        "name them"
    )


# -- what the checks share ---------------------------------------------------------------------


def _train_and_fall(run: Run) -> None:
    before, _ = gradients(run, [run.data])
    losses = train(run)
    after, _ = gradients(run, [run.data])
    assert after < 0.995 * before, (
        f"the loss over all rows went from {before:.4g} to {after:.4g} in {len(losses)} steps"
    )


def _quantized_run(subject: Subject, folder: str = "run", **settings: Any) -> Run:
    from ft.conformance.reference import REFERENCES

    quantizer = REFERENCES["quantizer"].bind("reference")
    return tiny_run(subject, folder=folder, quantizer=quantizer, **settings)


def _on(subject: Subject, family: Any) -> Subject:
    """The subject in a folder of its own, on a base of another family."""
    companions = {**subject.companions, "model": family}
    return replace(subject, folder=subject.folder / "other", companions=companions)


def _restored(run: Run, saved: Path) -> Any:
    return run.hook.ft_restore_model(run=run, folder=saved)


def _assert_merges(subject: Subject, run: Run, saved: Path) -> None:
    model = _restored(run, saved)
    expected = logits(model)
    merged = run.merge(model)
    moved, allowed = difference(logits(merged), expected), run.part("adapter").merge_tolerance
    assert moved <= allowed, (
        f"merging moves the logits by {moved:.2g}, and merge_tolerance is {allowed:g}"
    )
    _assert_whole(subject, run, merged)


def _assert_whole(subject: Subject, run: Run, model: Any) -> None:
    """A merged model is saved as the base is: its weights have the names of the base's."""
    if "changed-architecture" in run.part("adapter").capabilities().provides:
        return
    odd = model.state_dict().keys() ^ run.load_base().state_dict().keys()
    assert not odd, f"the merged model has other weights than the base: {some(odd)}"


def _assert_same(model: Any, expected: Tensor, when: str) -> None:
    found = logits(model)
    assert found.equal(expected), (
        f"{when}: the logits differ by {difference(found, expected):.2g} (relative root mean "
        "square)"
    )


def _flags(run: Run) -> dict[str, bool]:
    return {name: p.requires_grad for name, p in run.model.named_parameters()}


def _assert_flags(run: Run, expected: dict[str, bool], when: str) -> None:
    """What trains and what is frozen is as expected."""
    found = _flags(run)
    odd = [name for name, trains in expected.items() if found.get(name) != trains]
    assert not odd, f"{when} other parameters train or are frozen: {some(odd)}"


def _base_in(run: Run, base: nn.Module) -> dict[str, Any]:
    """Name in the base → digest of each tensor that is in the run's model under any name."""
    there = Counter(_named(run.model).values())
    kept = Counter[Any]()
    found = {}
    for name, key in _named(base).items():
        kept[key] += 1
        if kept[key] <= there[key]:
            found[name] = key
    return found


def _gone(run: Run, there: dict[str, Any]) -> list[str]:
    """The names of tensors that the run's model does not have any more, or not as often."""
    now = _named(run.model)
    lost = Counter(there.values()) - Counter(now.values())
    names = [name for name, key in there.items() if key in lost]
    # of several that are equal, those that are not where they were
    return [name for name in names if now.get(name) != there[name]] or names


def _named(model: nn.Module) -> dict[str, Any]:
    """Name → digest of each parameter and buffer."""
    held: Iterable[tuple[str, Tensor]] = (*model.named_parameters(), *model.named_buffers())
    return {name: digest(tensor) for name, tensor in held}


def digest(tensor: Tensor) -> tuple[Any, ...]:
    """Type, shape and bits of a tensor, to be compared or counted."""
    import hashlib

    import torch

    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return str(tensor.dtype), tuple(tensor.shape), hashlib.sha1(raw.tobytes()).hexdigest()


def _line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip().splitlines() or [""])[0][:200]
