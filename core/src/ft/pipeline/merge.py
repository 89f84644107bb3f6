"""Fold an adapter into its base, and see that the model still answers as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft.api import Run

TEXT = "The quick brown fox jumps over 12 lazy dogs."
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
    """What the model makes of a fixed text, in float32; of fixed tokens without a tokenizer."""
    import torch

    # plain text: at control tokens, which a model never saw alone, rounding is magnified
    ids = range(3, 35) if run.processor is None else run.encode_text([TEXT])[0].input_ids
    inputs = torch.tensor([list(ids)], device=next(model.parameters()).device)
    with torch.no_grad():
        logits: Tensor = run.forward(model, {"input_ids": inputs}).logits
    return logits.float().log_softmax(-1)
