"""Fold an adapter into its base, and see that the model still answers as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft.api import Run

TOLERANCE, TOLERANCE_16_BIT = 1e-2, 0.5
"""How far merging may move a log-probability, in float32 and in types of 16 bits."""


def merge(run: Run, model: nn.Module, tolerance: float | None = None) -> nn.Module:
    """The merged model; raises :class:`RunError` where it answers a probe in another way."""
    training = model.training
    before = log_probabilities(run, model.eval())
    merged: nn.Module = run.hook.ft_merge_model(run=run, model=model)
    drift = float((log_probabilities(run, merged.eval()) - before).abs().max())
    merged.train(training)
    if tolerance is None:
        wide = all(p.dtype.itemsize >= 4 for p in merged.parameters())
        tolerance = TOLERANCE if wide else TOLERANCE_16_BIT
    if not drift <= tolerance:  # nor for a nan
        raise RunError(
            f"merging moves log-probabilities by {drift:.3g}, and {tolerance:g} is allowed",
            hint="serve base and adapter apart, or allow more where the exporter has an option "
            "for it, as in `ft export RUN tolerance=0.1`",
        )
    run.progress.say(f"merged and unmerged differ by at most {drift:.2g} in log-probability")
    return merged


def log_probabilities(run: Run, model: nn.Module) -> Tensor:
    """What the model makes of a fixed sequence of tokens, in float32."""
    import torch

    device = next(model.parameters()).device
    ids = torch.arange(3, 35, device=device)[None] % run.config.get_text_config().vocab_size
    with torch.no_grad():
        logits: Tensor = run.forward(model, {"input_ids": ids}).logits
    return logits.float().log_softmax(-1)
