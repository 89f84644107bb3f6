"""A whole model from an adapter and its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from ft.api import Exporter, Field, PluginOptions, RecipePath, Run, hookimpl
from ft_exporter_merged.classifier import with_head


class Merged(Exporter):
    """Folds the adapter into a fresh base and writes sharded safetensors.

    The sum is taken in float32, which is how core loads a result for export; in 16 bits it
    would lose much of the update. The merged model must answer a probe as the unmerged one
    does; otherwise nothing is written. (A quantized base is never merged into: its weights
    are rounded, and on some CPUs repacked.)

    With ``others`` the adapters of several runs on one base become one first, each by its weight:
    ``cat`` adds the updates up, and is exact; the other methods are those of PEFT, such as TIES
    (Yadav et al., 2023, arXiv:2306.01708) and DARE (Yu et al., 2023, arXiv:2311.03099), which
    work on the factors of a LoRA.

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
        others: list[RecipePath] = Field(
            default_factory=list,
            description="further finished runs on the same base, whose adapters are combined with "
            "this one's",
        )
        weights: list[float] | None = Field(
            None, description="weight of each adapter, this run's own first; unset: 1 for each"
        )
        method: str = Field("cat", description="how adapters are combined, in PEFT's words")
        density: float | None = Field(
            None, gt=0, le=1, description="share of each update that a pruning method keeps"
        )

        @model_validator(mode="after")
        def _one_weight_for_each(self) -> Self:
            if self.weights is not None and len(self.weights) != 1 + len(self.others):
                raise ValueError(
                    f"{len(self.weights)} weights, and {1 + len(self.others)} adapters with this "
                    "run's own"
                )
            return self

    @hookimpl
    def ft_export(self, run: Run, folder: Path) -> Path:
        import torch

        own = run.config.dtype or torch.float32  # loading sets it to the type in memory
        model: Any = self._trained(run)
        model = run.merge(model, self.options.tolerance)
        wanted = self.options.dtype
        model = model.to(own if wanted == "auto" else getattr(torch, wanted))
        model = with_head(run, model)
        model.save_pretrained(folder, max_shard_size=self.options.shard_size)
        return folder

    def _trained(self, run: Run) -> Any:
        options = self.options
        if not options.others and options.weights is None:
            return run.load_result().eval()
        weights = options.weights or [1.0] * (1 + len(options.others))
        return run.load_combined(options.others, weights, options.method, options.density)


exporter = Merged()
