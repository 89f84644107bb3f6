"""bitsandbytes: 8-bit (arXiv:2208.07339) and 4-bit (QLoRA, arXiv:2305.14314) weights."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Field, InputError, PluginOptions, Quantizer, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


LOGGER = logging.getLogger("bitsandbytes.autograd._functions")


class BitsAndBytes(Quantizer):
    """Quantizes the base weights on load; adapters train on top of them.

    A checkpoint that was saved quantized, such as those called bnb-4bit, is loaded as it is, and
    its own ``config.json`` says how; ``ft export`` merges an adapter into its dequantized weights.
    """

    paper = "arXiv:2305.14314"

    class Options(PluginOptions):
        bits: Literal[4, 8] = Field(4, description="bits of a weight")
        type: Literal["nf4", "fp4"] = Field(
            "nf4", description="4-bit code: NF4 suits weights that are normally distributed"
        )
        double_quantization: bool = Field(
            True, description="quantize the 4-bit scales as well; saves 0.4 bits a weight"
        )
        skip: list[str] = Field(
            default_factory=list, description="modules that keep their precision beside lm_head"
        )

    own_bits: int | None = None
    """Those of a checkpoint that is quantized already."""

    level: int | None = None
    """That of the library's logger before this run."""

    samples = ({"bits": 8}, {"bits": 4}, {"bits": 4, "type": "fp4", "double_quantization": False})

    @property
    def drift(self) -> float:
        # a small random model magnifies each rounding: a trained one moves far less
        if self.options.bits == 8:
            return 0.1
        return 0.6 if self.options.type == "nf4" else 0.75

    def bits_per_weight(self) -> float:
        if (self.own_bits or self.options.bits) == 8:
            return 8.1  # a float32 scale for each row of some hundreds of weights
        # one for each 64 weights: in float32, or in 8 bits with one of float32 for each 256
        return 4.127 if self.options.double_quantization else 4.5

    @hookimpl
    def ft_patch_config(self, run: Run, config: PretrainedConfig) -> None:
        found = getattr(config, "quantization_config", None)
        if found is None:
            return
        said = found if isinstance(found, dict) else found.to_dict()
        self.own_bits = 4 if said.get("load_in_4bit") else 8
        if "bits" in self.options.model_fields_set and self.options.bits != self.own_bits:
            raise InputError(
                f"quantizer.bits is {self.options.bits}, and the weights of this checkpoint are "
                f"quantized to {self.own_bits} already",
                where=str(run.model_folder),
                hint="leave bits out, or take a checkpoint that is not quantized",
            )
        if run.device.type == "cpu":
            said["bnb_4bit_compute_dtype"] = "float32"
        config.quantization_config = said

    @hookimpl
    def ft_quantization_config(self, run: Run, config: PretrainedConfig) -> Any:
        import torch
        from transformers import BitsAndBytesConfig

        if self.level is None:
            # one such line for each 8-bit layer and step says nothing that is wrong
            self.level = LOGGER.level
            LOGGER.setLevel(logging.ERROR)
        if self.own_bits is not None:
            return None  # by what the checkpoint says
        options = self.options
        compute = torch.float32 if run.device.type == "cpu" else torch.bfloat16
        skip = [*options.skip, "lm_head"] if options.skip else None
        if options.bits == 8:
            return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skip)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=options.type,
            bnb_4bit_use_double_quant=options.double_quantization,
            bnb_4bit_compute_dtype=compute,
            llm_int8_skip_modules=skip,
        )

    @hookimpl
    def ft_end_process(self) -> None:
        if self.level is not None:
            LOGGER.setLevel(self.level)
            self.level = None

    @hookimpl
    def ft_prepare_model(self, model: nn.Module) -> None:
        # weights that stayed in floating point (norms, embeddings) do not train either
        model.requires_grad_(False)

    @hookimpl
    def ft_dequantize_model(self, run: Run, model: Any) -> bool:
        model.dequantize(run.weight_dtype)
        return True


quantizer = BitsAndBytes()
