"""Kernels: faster, and otherwise the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ft.api import InputError, Run
from ft.conformance.around import end
from ft.conformance.bench import (
    assert_close,
    assert_refuses,
    gradients,
    packed,
    random_rows,
    some,
    tiny_run,
    train,
)
from ft.conformance.check import NotRun, check
from ft.conformance.reference.kernel import Stated
from ft.conformance.subject import Subject

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


@check("kernel")
def same_gradients(subject: Subject) -> None:
    """Loss and gradients are those of the plain model, or of what the kernel states.

    Why: a kernel is there to save time and memory. One that computes something else trains
    another model, and nobody sees it from the loss.

    Passes: the loss of a padded batch of random rows, and the gradient of every parameter,
    are within 1e-4 of those without the kernel. One that provides ``approximate-attention`` is
    compared with a model whose attention is its ``reference_attention`` instead, here and in
    the other checks of what it computes in training.

    Fails: an attention that reads the padding; a scale that is taken from the wrong dimension;
    a backward pass of its own that leaves out a term.

    Example: ``the gradient of layers.0.attention.q_proj.weight: Tensor-likes are not close!
    Mismatched elements: 4096 / 4096 (100.0%)``.
    """
    rows = random_rows()
    assert_same(subject, [rows[:3], rows[3:]])


def refuses_packing(subject: Subject) -> None:
    """A run that packs is refused."""
    assert_refuses(subject, "packing")


@check("kernel", needs="packing", refuses=refuses_packing)
def packed_documents_stay_apart(subject: Subject) -> None:
    """In a packed sequence the documents do not see each other.

    Why: packing puts several rows into one sequence. Where a fused attention is not told of
    the borders, each document is read with the one before it as its context.

    Passes: loss and gradients of packs are within 1e-4 of those that the plain model has on
    the same rows one by one. A kernel that does not accept ``packing`` is refused by the
    recipe's check in a run that packs.

    Fails: a kernel that drops the mask and lets ``is_causal`` stand for it; positions that run
    on over the border.

    Example: ``the loss of packed rows: Scalars are not close! Expected 6.31 but got 6.02``.
    """
    rows = random_rows()
    packs = [[pack] for pack in packed(rows)]
    assert_same(subject, packs, alone=[[row] for row in rows], what=" of packed rows")


def refuses_checkpointing(subject: Subject) -> None:
    """A run that recomputes activations is refused."""
    assert_refuses(subject, "gradient-checkpointing")


@check("kernel", needs="gradient-checkpointing", refuses=refuses_checkpointing)
def recomputed_activations(subject: Subject) -> None:
    """Recomputing the activations changes nothing.

    Why: with gradient checkpointing every forward runs a second time in the backward pass. A
    kernel that keeps something of the first time gets it wrong in the second.

    Passes: with ``gradient_checkpointing`` loss and gradients are within 1e-4 of those of the
    plain model. A kernel that does not accept ``gradient-checkpointing`` is refused by the
    recipe's check in a run that has it.

    Fails: a forward that counts its calls, or reuses a buffer that the backward still needs.

    Example: ``CheckpointError: A different number of tensors was saved``.
    """
    rows = random_rows()
    assert_same(subject, [rows[:3], rows[3:]], checkpointing=True)


@check("kernel")
def parameters_keep_their_names(subject: Subject) -> None:
    """The parameters keep their names and shapes, and all of them train.

    Why: adapters find layers by their names, checkpoints and results are written by them. A
    kernel that fuses three matrices into one makes a model that nobody can load again.

    Passes: the model has the same names and shapes as without the kernel, before and after
    two training steps, and under an adapter exactly the same ones are trained.

    Fails: a layer that is replaced by a wrapper; weights that are fused under a new name.

    Example: ``2 parameters have other names or shapes than without the kernel:
    layers.0.qkv.weight and …``.
    """
    for adapter in (False, True):
        plain = shapes(tiny_run(subject, kernel=None, adapter=adapter))
        run = run_under(subject, adapter=adapter, trainer={"steps": 2, "batch_size": 2})
        for when in ("", " after training"):
            found = shapes(run)
            odd = {
                name for name in plain.keys() | found.keys() if plain.get(name) != found.get(name)
            }
            assert not odd, (
                f"{len(odd)} parameters have other names, shapes or requires_grad{when} than "
                f"without the kernel: {some(odd)}"
            )
            if not when:
                train(run)
        end(run)


@check("kernel")
def works_while_generating(subject: Subject) -> None:
    """The model generates under it, with a cache and without further arguments.

    Why: generation calls the model itself, with a cache of keys and values and prompts that
    are padded on the left, and hands on no ``ft_forward_arguments``. A kernel that is made
    for training alone breaks evaluation and chat.

    Passes: the logits of two prompts, one padded on the left, and of a token after them that
    is read with the cache, are within 1e-4 of those without the kernel.

    Fails: a kernel that cannot do without its arguments; a causal mask that begins at the
    first query where there is only one, after a cache.

    Example: ``the logits of a token that follows a cache: Tensor-likes are not close!``.
    """
    plain = tiny_run(subject, kernel=None)
    run = run_under(subject)
    try:
        for what, expected, found in zip(
            ("prompts that are padded on the left", "a token that follows a cache"),
            generate(plain),
            generate(run),
            strict=True,
        ):
            assert_close(found, expected, f"the logits of {what}", **TOLERANCE)
    finally:
        end(run)


def plain_run(subject: Subject, **settings: Any) -> Run:
    """A run without the kernel, or with the attention that the kernel states to train with."""
    if "approximate-attention" not in subject.bind().capabilities().provides:
        return tiny_run(subject, kernel=None, **settings)
    return tiny_run(subject, kernel=Stated(subject.bind()).bind("stated"), **settings)


def run_under(subject: Subject, **settings: Any) -> Run:
    """A run with the kernel, on the first device that it is for."""
    import torch

    try:
        return tiny_run(subject, **settings)
    except InputError as error:
        if not torch.cuda.is_available():
            raise NotRun(f"it refuses to run on a CPU: {error.message}") from error
    return tiny_run(subject, device="cuda", **settings)


def assert_same(
    subject: Subject,
    batches: Sequence[Any],
    *,
    alone: Sequence[Any] | None = None,
    checkpointing: bool = False,
    what: str = "",
) -> None:
    """Loss and gradients under the kernel are those without it.

    ``alone`` are the batches that the plain model gets, where those are others.
    """
    from ft.training.recompute import checkpoint_activations

    plain = plain_run(subject)
    try:
        expected_loss, expected = gradients(plain, alone or batches)
    finally:
        end(plain)
    run = run_under(subject)
    try:
        if checkpointing:
            checkpoint_activations(run.model)
        loss, found = gradients(run, batches)
    finally:
        end(run)
    assert_close(loss, expected_loss, f"the loss{what}", **TOLERANCE)
    missing = expected.keys() - found.keys()
    assert not missing, f"no gradient{what} reaches {some(missing)}"
    for name, gradient in expected.items():
        assert_close(found[name].cpu(), gradient, f"the gradient{what} of {name}", **TOLERANCE)


def shapes(run: Run) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Name → shape of each parameter, and whether it trains."""
    return {name: (tuple(p.shape), p.requires_grad) for name, p in run._parameters()}


def generate(run: Run) -> list[Any]:
    """Logits of two prompts, one of them padded, and of the token after them."""
    import torch

    model: Any = run.model.eval()
    ids = torch.arange(3, 15, device=run.device).view(2, 6)
    mask = torch.ones(2, 7, dtype=torch.long, device=run.device)
    mask[1, :2] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        first = model(
            input_ids=ids, attention_mask=mask[:, :6], position_ids=positions[:, :6], use_cache=True
        )
        second = model(
            input_ids=ids[:, :1],
            attention_mask=mask,
            position_ids=positions[:, 6:],
            past_key_values=first.past_key_values,
            use_cache=True,
        )
    # what a padded position computes is read by nobody
    return [first.logits[mask[:, :6] > 0].float().cpu(), second.logits.float().cpu()]
