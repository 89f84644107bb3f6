"""The result as a GPTQ checkpoint (Frantar et al., 2022, arXiv:2210.17323)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Exporter, Field, InputError, PluginOptions, RecipePath, Run, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class Gptq(Exporter):
    """Merges the adapter and quantizes the whole model by GPTQ.

    Layer by layer, weights are rounded one input after another, and what rounding loses is made
    up for by the weights that are not rounded yet, so that the layer's outputs on calibration rows
    move least. Rows like those of the training data serve best; 128 are enough. Without any, every
    weight is rounded to the nearest, which loses more. Written are the files that vLLM, SGLang and
    transformers read, and that quantizer ``gptq`` trains on. Nothing is needed but torch.
    """

    paper = "arXiv:2210.17323"

    class Options(PluginOptions):
        data: RecipePath | None = Field(
            None,
            description="calibration rows: a .jsonl file with text or messages, or a .txt file "
            "of paragraphs; unset: none, weights are rounded to the nearest",
        )
        rows: int = Field(128, gt=0, description="rows to calibrate on, from the first on")
        max_length: int = Field(2048, gt=0, description="tokens of a row; longer ones are cut")
        bits: Literal[2, 4, 8] = Field(4, description="bits of a weight")
        group_size: int = Field(
            128, gt=0, description="inputs that share a scale; a layer of fewer has one group"
        )
        symmetric: bool = Field(
            True, description="zero in the middle of the values, as the fast kernels want it"
        )
        order: Literal["given", "activation"] = Field(
            "given",
            description="which inputs are rounded first: as they come, or those that matter most "
            "(desc_act), which loses less and is served more slowly",
        )
        damping: float = Field(
            0.01, gt=0, description="added to the Hessian's diagonal, as a share of its mean"
        )

    @hookimpl
    def ft_export(self, run: Run, folder: Path) -> Path:
        import torch

        from ft_exporter_gptq.quantize import quantize_model
        from ft_quantizer_gptq import quantizer

        own = run.config.dtype or torch.float32
        model: Any = run.merge(run.load_result().eval())
        rows = self._rows(run)
        if not rows:
            run.progress.warn(
                "no calibration rows: every weight is rounded to the nearest; with data=FILE of "
                "rows like those of the training data GPTQ loses less"
            )
        encoded = quantize_model(run, model, rows, self.options)
        # what stays as it is: float32 only came about by loading
        quantizer.save(model.to(own), folder, encoded, self._described())
        return folder

    def _described(self) -> dict[str, Any]:
        options = self.options
        return {
            "quant_method": "gptq",
            "bits": options.bits,
            "group_size": options.group_size,
            "desc_act": options.order == "activation",
            "sym": options.symmetric,
            "damp_percent": options.damping,
            "checkpoint_format": "gptq",
            "lm_head": False,
        }

    def _rows(self, run: Run) -> list[Tensor]:
        """Token ids of shape (1, length) of each calibration row."""
        if self.options.data is None:
            return []
        import torch

        from ft_exporter_gptq.rows import texts_of

        texts = texts_of(run, self.options.data, self.options.rows)
        encoded = [row.input_ids[: self.options.max_length] for row in run.encode_text(texts)]
        if not encoded:
            raise InputError("there is no row to calibrate on", where=str(self.options.data))
        return [torch.tensor([ids], device=run.device) for ids in encoded]


exporter = Gptq()
