"""Weights that go into layers of a quantizer's own as a checkpoint stores them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, OwnLayers

if TYPE_CHECKING:
    from torch import Tensor

METHOD = "ft-own-layers"
"""The name under which transformers knows what is done here."""


def placing(folder: Path, layers: OwnLayers) -> Any:
    """A quantization config that has the weights in ``folder`` read into ``layers``."""
    config: Any = _classes()()
    config.folder, config.place = folder, layers.place
    return config


@cache
def _classes() -> Any:
    """The config class; it and its quantizer are made and registered once."""
    from transformers.quantizers import HfQuantizer
    from transformers.quantizers.auto import register_quantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    class Config(QuantizationConfigMixin):
        """Says what :class:`OwnLayers` says, where transformers looks for it."""

        def __init__(self) -> None:
            self.quant_method = METHOD  # type: ignore[assignment]

        def __deepcopy__(self, memo: Any) -> Config:
            return self  # a copy of a model's config must not copy the run

    @register_quantizer(METHOD)
    class Quantizer(HfQuantizer):
        """Has the layers placed before the weights are read, and leaves no trace."""

        def __init__(self, quantization_config: Any, **kwargs: Any):
            super().__init__(quantization_config, **kwargs)
            self.pre_quantized = True  # nothing is rounded on the way

        def _process_model_before_weight_loading(self, model: Any, **kwargs: Any) -> None:
            config: Any = self.quantization_config
            config.place(model, stored_tensors(config.folder, model))

        def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> None:
            self.remove_quantization_config(model)

        def is_serializable(self) -> bool:
            return False

        @property
        def is_trainable(self) -> bool:
            return True

    return Config


def stored_tensors(folder: Path, model: Any) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint by their names in ``model``, on the meta device.

    Headers of the files are read and nothing else.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import _TYPES as KINDS
    from transformers.conversion_mapping import get_model_conversion_mapping

    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise InputError(
            "quantized weights are read from safetensors, and this checkpoint has none",
            where=str(folder),
        )
    renamings = get_model_conversion_mapping(model)
    found: dict[str, Tensor] = {}
    for file in files:
        with safe_open(file, framework="pt", device="cpu") as tensors:
            for key in tensors.keys():  # noqa: SIM118 (it is no mapping)
                name = key
                for renaming in renamings:
                    name, _ = renaming.rename_source_key(name)
                header = tensors.get_slice(key)
                kind = KINDS[header.get_dtype()]
                found[name] = torch.empty(header.get_shape(), dtype=kind, device="meta")
    return found
