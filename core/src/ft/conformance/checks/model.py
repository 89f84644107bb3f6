"""Model families: the architecture builds, trains, packs, saves and comes back."""

from __future__ import annotations

from ft.conformance.bench import tiny_run, train
from ft.conformance.check import check
from ft.conformance.subject import Subject


@check("model")
def loss_falls(subject: Subject) -> None:
    """The loss falls.

    Why: a family whose forward pass ignores its input, or whose weights receive no gradient,
    loads and runs and learns nothing.

    Passes: eight optimizer steps on eight random rows, all weights training, end with a finite
    loss at least a tenth below the first.

    Fails: a forward pass under ``torch.no_grad()``; logits that are one position off.

    Example: ``the loss went from 6.31 to 6.30 in 8 steps``.
    """
    losses = train(tiny_run(subject))
    assert losses[-1] < 0.9 * losses[0], (
        f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} steps"
    )
