"""Adapters: their result comes back, also merged."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ft.api import InputError, Process
from ft.conformance.adapters import (
    SHORT,
    assert_flags,
    assert_merges,
    assert_same,
    assert_whole,
    quantized_run,
    restored_from,
    said_by,
    training_flags,
    with_family,
)
from ft.conformance.bench import (
    assert_resumes,
    logits,
    reference_family,
    save,
    some,
    tiny_run,
    train,
)
from ft.conformance.check import Skip, check
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    pass


# -- saving and coming back -------------------------------------------------------------------


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
    assert_same(restored_from(fresh, kept), trained, "restored from its folder")


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
    other = tiny_run(with_family(subject, wider), folder="wider")
    try:
        restored = other.hook.ft_restore_model(run=other, folder=saved)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(
            f"on a base of another width it fails with {type(error).__name__} ({said_by(error)}) "
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
    flags = training_flags(run)  # a method may have frozen what is to train later
    copy = run.frozen_copy()
    assert_same(copy, trained, "a frozen copy")
    trains = [name for name, p in copy.named_parameters() if p.requires_grad]
    assert not trains, f"in a frozen copy these train: {some(trains)}"
    assert_flags(run, flags, "after a frozen copy was made")
    assert_same(run.model, trained, "the model after a frozen copy was made")


# -- merging ----------------------------------------------------------------------------------


def _no_merge(subject: Subject) -> None:
    """A result that is no whole model refuses to be merged."""
    run = tiny_run(subject, trainer=SHORT)
    train(run)
    model = restored_from(tiny_run(subject, folder="fresh"), save(run))
    expected = logits(model)
    try:
        merged = run.hook.ft_merge_model(run=run, model=model)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(
            f"merging fails with {type(error).__name__} ({said_by(error)}) rather than with an "
            "ft.api.InputError that says that it cannot be merged"
        ) from error
    assert_whole(subject, run, merged)
    assert_same(merged, expected, "it is not mergeable; a whole model, merged")


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
    assert_merges(subject, tiny_run(subject, folder="fresh"), save(run))


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
    run = quantized_run(subject.under_limit("mergeable"), trainer=SHORT)
    train(run)
    saved = save(run)
    for what, fresh in (
        ("the full-precision base", tiny_run(subject, folder="export")),
        ("the quantized base", quantized_run(subject, "quantized")),
    ):
        try:
            assert_merges(subject, fresh, saved)
        except InputError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"merging into {what} fails with {type(error).__name__} ({said_by(error)}) rather "
                "than with an ft.api.InputError that says that it cannot be done"
            ) from error
