"""Kernels: the loss of each token is core's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ft.api import Encoded, InputError, Run
from ft.conformance.around import end
from ft.conformance.bench import (
    Rows,
    assert_close,
    assert_refuses,
    packed,
    random_rows,
    reference_family,
    some,
)
from ft.conformance.check import Skip, check
from ft.conformance.checks.kernel import TOLERANCE, plain_run, run_under
from ft.conformance.subject import Subject


@check("kernel", needs="loss-kernel")
def token_losses(subject: Subject) -> None:
    """A fused loss gives each token the loss that core does.

    Why: every token-wise method starts from these losses. What is off here by a position, a
    weight or a row trains something else under each of them.

    Passes: for padded rows, and for packed ones where the kernel accepts ``packing``, with
    weights other than 1, the losses are within 1e-4 of core's, ``weights`` and ``documents``
    are the same, and so is the gradient of every parameter. Under an adapter, whose output
    layer is frozen, too, and for a second model that is not the run's own.

    Fails: losses that are weighted already; a shift by one over the border of a row; a kernel
    that always takes the run's own model.

    Example: ``the losses of padded rows: Tensor-likes are not close! Mismatched elements:
    41 / 52 (78.8%)``.
    """
    assert_same_losses(subject)
    assert_same_losses(subject, adapter=True, what=" under an adapter")
    run = run_under(subject)
    try:
        batch = run.to_device(run.collate(weighted(4)))
        other = run.frozen_copy()
        for parameter in other.parameters():
            parameter.data.mul_(0.5)
        found = run.token_losses(other, batch).losses.detach()
        expected = losses_of_logits(other, batch)
        assert_close(found, expected, "the losses of another model", **TOLERANCE)
    finally:
        end(run)


def refuses_smoothing(subject: Subject) -> None:
    """A run that smooths its labels is refused."""
    assert_refuses(subject, "label-smoothing")


@check("kernel", needs="label-smoothing", refuses=refuses_smoothing)
def smoothed_losses(subject: Subject) -> None:
    """Label smoothing is what it is without the kernel.

    Why: a kernel that passes over the smoothing that a recipe asks for trains another model,
    and the loss does not tell.

    Passes: with a smoothing of 0.2 the losses of a kernel that computes them, and all
    gradients, are within 1e-4 of core's. A kernel that does not accept ``label-smoothing`` is
    refused by the recipe's check in a run that has it.

    Fails: a fused loss that leaves the argument out; one that spreads over all tokens but the
    true one.

    Example: ``the losses of padded rows, smoothed: Tensor-likes are not close!``.
    """
    if "loss-kernel" not in subject.bind().capabilities().provides:
        raise Skip("it does not compute the loss")
    assert_same_losses(subject, smoothing=0.2, what=", smoothed")


@check("kernel", needs="loss-kernel")
def capped_logits(subject: Subject) -> None:
    """What a model does to its logits stays in force.

    Why: some families scale or cap their logits behind the output layer. A fused loss takes
    its hidden states before that layer, and computes another loss than the model's.

    Passes: for a model that caps its logits the losses and all gradients are within 1e-4 of
    core's, or the kernel refuses that model with an :class:`ft.api.InputError`.

    Fails: a fused loss that multiplies hidden states by the output layer's weights and stops
    there.

    Example: ``the losses of padded rows with capped logits: Tensor-likes are not close!``.
    """
    capped = with_model(subject, "capped", logit_cap=2.0, initializer_range=0.2)
    with suppress(InputError):
        assert_same_losses(capped, what=" with capped logits")


@check("kernel", needs="loss-kernel")
def tied_output_layer(subject: Subject) -> None:
    """An output layer that shares the embeddings' weights gets both parts of its gradient.

    Why: small models tie the two, and the gradient is the sum over both uses. A backward pass
    of one's own is easily written for the one.

    Passes: for a model with a tied output layer the losses and all gradients are within 1e-4
    of core's.

    Fails: a gradient that is set rather than added; one that is left out for tied weights.

    Example: ``the gradient of embed_tokens.weight of padded rows with a tied output layer:
    Tensor-likes are not close!``.
    """
    tied = with_model(subject, "tied", tie_word_embeddings=True)
    assert_same_losses(tied, what=" with a tied output layer")


def with_model(subject: Subject, folder: str, **sizes: Any) -> Subject:
    """The same kernel on a reference model of other sizes, in a folder of its own."""
    companions = {**subject.companions, "model": reference_family(**sizes)}
    return replace(subject, companions=companions, folder=subject.folder / folder)


def assert_same_losses(
    subject: Subject, *, smoothing: float = 0.0, adapter: bool = False, what: str = ""
) -> None:
    """Losses, weights, documents and gradients of padded and packed rows are core's."""
    plain = plain_run(subject, adapter=adapter)
    try:
        wanted = [losses(plain, rows, smoothing) for _, rows in layouts(subject)]
    finally:
        end(plain)
    run = run_under(subject, adapter=adapter)
    try:
        for (layout, rows), (expected, expected_gradients) in zip(
            layouts(subject), wanted, strict=True
        ):
            name = f"of {layout} rows{what}"
            found, gradients = losses(run, rows, smoothing)
            for field, value in expected.items():
                assert_close(found[field], value, f"the {field} {name}", **TOLERANCE)
            odd = expected_gradients.keys() ^ gradients.keys()
            assert not odd, f"only one of the two gives a gradient {name} to {some(odd)}"
            for parameter, value in expected_gradients.items():
                what_of = f"the gradient of {parameter} {name}"
                assert_close(gradients[parameter], value, what_of, **TOLERANCE)
    finally:
        end(run)


def layouts(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Rows to be padded, and packs where the kernel accepts them."""
    rows = weighted(6)
    yield "padded", rows[:4]
    if subject.support("packing") == "full":
        yield "packed", packed(rows)


def weighted(count: int) -> Rows:
    """Random rows whose tokens count half, once, twice or not at all."""
    return Rows(
        Encoded(row.input_ids, [(0.0, 1.0, 0.5, 2.0)[i % 4] for i in range(len(row))])
        for row in random_rows(count)
    )


def losses(run: Run, rows: Any, smoothing: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The token losses of a batch by field, and the gradients of their weighted mean."""
    run.model.train()
    batch = run.to_device(run.collate(list(rows)))
    tokens = run.token_losses(run.model, batch, smoothing)
    ((tokens.losses * tokens.weights).sum() / tokens.weights.sum()).backward()
    gradients = {name: p.grad.cpu() for name, p in run.trainable() if p.grad is not None}
    for _, parameter in run.trainable():
        parameter.grad = None
    fields = ("documents", "weights", "losses")
    return {field: getattr(tokens, field).detach().cpu() for field in fields}, gradients


def losses_of_logits(model: Any, batch: Any) -> Any:
    """The losses of the trained tokens of a padded batch, from all of the model's logits."""
    from torch.nn import functional

    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    trained = batch["weights"][:, 1:] > 0
    truth = batch["input_ids"][:, 1:][trained]
    return functional.cross_entropy(
        logits[:, :-1][trained].detach().float(), truth, reduction="none"
    )
