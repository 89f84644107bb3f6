"""(IA)3 (Liu et al., 2022, arXiv:2205.05638)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Run
from ft_adapter_peft import LayerOptions, PeftAdapter, named

if TYPE_CHECKING:
    from torch import nn


class Ia3(PeftAdapter):
    """(IA)3: diag(l) W, where only the vector l trains, from ones.

    Very few parameters, for tasks with few examples; it wants a learning rate of 1e-3 to 1e-2.
    The paper scales keys, values and the inner activations of the feed-forward part:
    ``target: [k_proj, v_proj, down_proj]`` with ``feedforward: [down_proj]``.
    """

    method = "IA3"
    paper = "arXiv:2205.05638"

    class Options(LayerOptions):
        feedforward: list[str] | str = Field(
            default_factory=list,
            description="targets whose inputs are scaled rather than their outputs: name endings, "
            "or one regular expression",
        )

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found = super().settings(run, model)
        wanted = self.options.feedforward
        inputs = named(model, wanted) & named(model, found["target_modules"])
        if wanted and not inputs:
            raise InputError(
                f"adapter.feedforward {wanted!r} matches none of the layers in adapter.target"
            )
        # by their whole names: PEFT wants one list to be part of the other, word for word
        found["target_modules"] = sorted(named(model, found["target_modules"]))
        return found | {"feedforward_modules": sorted(inputs)}


adapter = Ia3()
