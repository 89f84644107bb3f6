"""FourierFT (Gao et al., 2024, arXiv:2405.03003)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ft.api import Field, InputError, Run
from ft_adapter_peft import LayerOptions, PeftAdapter, layer_sizes

if TYPE_CHECKING:
    from torch import nn


class FourierFt(PeftAdapter):
    """FourierFT: W + scale * real(IDFT(E)), where E has few entries that are not zero.

    Those are at random frequencies, the same for all layers of a size, and follow from the
    run's seed. Far fewer parameters than LoRA; it wants a large learning rate.
    """

    method = "FOURIERFT"
    paper = "arXiv:2405.03003"
    shapes_tell_base = False

    class Options(LayerOptions):
        frequencies: int = Field(1000, gt=0, description="trained frequencies of each layer")
        scale: float = Field(
            150.0, gt=0, description="factor of the update; 100 to 300 for language models"
        )
        start: Literal["zero", "normal"] = Field(
            "zero",
            description="where the spectrum starts: at zero, which leaves the model as it is, or "
            "normally distributed, as in the paper",
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "frequencies": "n_frequency",
            "scale": "scaling",
        }

    def starts_at_base(self) -> bool:
        return super().starts_at_base() and self.options.start == "zero"

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        found, wanted = super().settings(run, model), self.options.frequencies
        for name, inputs, outputs in layer_sizes(model, found["target_modules"]):
            if wanted > inputs * outputs:
                raise InputError(
                    f"adapter.frequencies is {wanted}, and the update of {name} has "
                    f"{inputs * outputs}"
                )
        zero = self.options.start == "zero"
        return found | {"init_weights": zero, "random_loc_seed": run.seed}


adapter = FourierFt()
