"""SHiRA (Bhardwaj et al., 2024, arXiv:2406.13175)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, InputError, Run
from ft_adapter_peft import LayerOptions, PeftAdapter, layer_sizes

if TYPE_CHECKING:
    from torch import nn


class Shira(PeftAdapter):
    """SHiRA: W + S, where S is zero but for rank (in + out) entries, which train.

    As many parameters as LoRA of that rank, an update of high rank, and adapters that are
    quick to swap and collide little when several are added. Which entries train is random and
    follows from the run's seed.
    """

    method = "SHIRA"
    paper = "arXiv:2406.13175"
    accepts = PeftAdapter.accepts - {"quantized-base"}  # S is added to the weight itself
    samples = ({"rank": 8},)

    class Options(LayerOptions):
        rank: int = Field(32, gt=0, description="the LoRA rank that has as many parameters")

        saved_as: ClassVar[Mapping[str, str]] = {**LayerOptions.saved_as, "rank": "r"}

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found, rank = super().settings(run, model), self.options.rank
        for name, inputs, outputs in layer_sizes(model, found["target_modules"]):
            if rank * (inputs + outputs) > inputs * outputs:
                raise InputError(
                    f"adapter.rank is {rank}, which is more entries than {name} has "
                    f"({inputs} x {outputs})",
                    hint=f"the largest rank for it is {inputs * outputs // (inputs + outputs)}",
                )
        return found | {"random_seed": run.seed}


adapter = Shira()
