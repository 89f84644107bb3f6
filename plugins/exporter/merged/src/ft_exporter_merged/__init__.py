"""A whole model from an adapter and its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ft.api import Exporter, Field, PluginOptions, Run, hookimpl
from ft_exporter_merged.classifier import with_head


class Merged(Exporter):
    """Folds the adapter into a fresh base and writes sharded safetensors.

    The sum is taken in float32, which is how core loads a result for export; in 16 bits it
    would lose much of the update. The merged model must answer a probe as the unmerged one
    does; otherwise nothing is written. (A quantized base is never merged into: its weights
    are rounded, and on some CPUs repacked.)

    A model that was trained with a head `score` beside it, such as a reward model, is written as
    the classifier of its architecture.
    """

    usual = True

    class Options(PluginOptions):
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
            "auto", description="type of the written weights; auto: that of the base checkpoint"
        )
        shard_size: str = Field("5GB", description="largest file of weights")
        tolerance: float = Field(
            1e-2, gt=0, description="largest change of a log-probability that merging may cause"
        )

    @hookimpl
    def ft_export(self, run: Run, folder: Path) -> Path:
        import torch

        own = run.config.dtype or torch.float32  # loading sets it to the type in memory
        model: Any = run.load_result().eval()
        model = run.merge(model, self.options.tolerance)
        wanted = self.options.dtype
        model = model.to(own if wanted == "auto" else getattr(torch, wanted))
        model = with_head(run, model)
        model.save_pretrained(folder, max_shard_size=self.options.shard_size)
        return folder


exporter = Merged()
