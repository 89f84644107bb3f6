"""A whole model from an adapter and its base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Exporter, Field, Options, Run, RunError, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn


class Merged(Exporter):
    """Folds the adapter into a fresh, unquantized base and writes sharded safetensors.

    The merged model must answer a probe as the unmerged one does; otherwise nothing is
    written. (A quantized base is never merged into: its weights are rounded, and on some
    CPUs repacked.)
    """

    class Options(Options):
        shard_size: str = Field("5GB", description="largest file of weights")
        tolerance: float = Field(
            1e-2, gt=0, description="largest change of a log-probability that merging may cause"
        )

    @hookimpl
    def ft_export(self, run: Run, folder: Path) -> Path:
        model: Any = run.load_result().eval()
        before = probe(run, model)
        model = run.merge(model)
        drift = float((probe(run, model) - before).abs().max())
        if not drift <= self.options.tolerance:
            raise RunError(
                f"merging moves log-probabilities by {drift:.3g}, and {self.options.tolerance} is "
                "allowed",
                hint="raise exporter.tolerance if that is acceptable, or load base and adapter "
                "apart",
            )
        run.progress.say(f"merged and unmerged differ by at most {drift:.2g} in log-probability")
        model.save_pretrained(folder, max_shard_size=self.options.shard_size)
        return folder


def probe(run: Run, model: nn.Module) -> Tensor:
    """Log-probabilities of a fixed text, float32 of shape (1, length, vocabulary)."""
    import torch

    ids = torch.tensor(
        [run.encode_text(["The quick brown fox jumps over 12 lazy dogs."])[0].input_ids]
    )
    with torch.no_grad():
        logits = run.forward(model, {"input_ids": ids.to(run.device)}).logits
    return logits.float().log_softmax(-1)


exporter = Merged()
