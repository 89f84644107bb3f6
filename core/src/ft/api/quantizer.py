"""Kind ``quantizer``: base weights in fewer bits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from ft.api._markers import hookimpl
from ft.api.plugin import Plugin
from ft.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig

    from ft.api.packed import PackedLinear
    from ft.api.run import Run


class Quantizer(Plugin):
    """A quantization of the base weights.

    A subclass implements :func:`ft_quantization_config` for quantization on load, or
    :func:`ft_prepare_model` and :func:`ft_finish_model` for one that is trained through. For
    checkpoints that are quantized already there is :class:`Prequantized`.
    """

    kind = "quantizer"
    provides = frozenset({"quantized-base"})

    drift: ClassVar[float] = 0.1
    """How far quantizing may move the logits of a random model, as the root mean square of the
    difference over that of the logits."""

    def bits_per_weight(self) -> float:
        """Bits that one quantized weight takes in memory with these options, scales included."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class OwnLayers:
    """Weights of a checkpoint that go into layers of a plugin's own as they are stored.

    ``place(model, stored)`` fires between building the model, whose tensors are on the meta
    device, and reading its weights. It replaces layers in place; each tensor of the checkpoint
    then goes to the parameter or buffer of its name. ``stored`` are all tensors of the checkpoint
    by the names that they have in the model, of their shapes and types, on the meta device.
    """

    place: Callable[[nn.Module, Mapping[str, Tensor]], None]


class Prequantized(Quantizer):
    """A quantizer of checkpoints whose weights are quantized already.

    A subclass names the ``marker``, reads what ``config.json`` says, and makes a
    :class:`ft.api.packed.PackedLinear` of each layer's stored tensors. Its distribution has a key
    in ``ft.match.quantization`` for each ``quant_method`` that it reads.
    """

    marker: ClassVar[tuple[str, ...]]
    """Names of tensors of which each shows that a layer of the checkpoint is quantized. A
    ``weight`` of 8 bits shows it, too."""

    required: ClassVar[tuple[str, ...]] = ()
    """Names of tensors that every quantized layer must have."""

    scheme: Any = None
    """What :meth:`read` made of ``config.json``."""

    def read(self, found: Mapping[str, Any]) -> Any:
        """What ``quantization_config`` of the checkpoint says, in a form of the plugin's own.

        Raises :class:`ft.errors.InputError` for what the plugin does not do; no weight is loaded
        by then.
        """
        return found

    def layer(self, name: str, linear: nn.Linear, stored: Mapping[str, Tensor]) -> PackedLinear:
        """The layer for ``stored``, the tensors of ``name`` by their last names."""
        raise NotImplementedError

    def encode(self, weight: Tensor) -> Mapping[str, Tensor]:
        """A weight (out, in) in this form, rounded to the nearest, by last names.

        What the conformance kit makes its tiny checkpoints of.
        """
        raise NotImplementedError

    def described(self) -> Mapping[str, Any]:
        """The ``quantization_config`` of a checkpoint that :meth:`encode` makes."""
        raise NotImplementedError

    def write(self, model: Any, folder: Path) -> None:
        """Write ``model``, whose weights are plain, in this form into ``folder``."""
        head = model.get_output_embeddings()
        encoded = {
            name: self.encode(layer.weight)
            for name, layer in model.named_modules()
            if _is_linear(layer) and layer is not head
        }
        self.save(model, folder, encoded, self.described())

    @staticmethod
    def save(
        model: Any,
        folder: Path,
        encoded: Mapping[str, Mapping[str, Tensor]],
        described: Mapping[str, Any],
    ) -> None:
        """Save ``model`` with the layers in ``encoded`` as these tensors in place of a weight.

        ``described`` becomes the ``quantization_config`` in ``config.json``.
        """
        tensors = dict(model.state_dict())
        for name, stored in encoded.items():
            del tensors[f"{name}.weight"]
            tensors |= {f"{name}.{key}": tensor for key, tensor in stored.items()}
        config, model.config = model.config, copy.deepcopy(model.config)
        model.config.quantization_config = dict(described)
        try:
            model.save_pretrained(folder, state_dict=tensors)
        finally:
            model.config = config

    @hookimpl
    def ft_patch_config(self, run: Run, config: PretrainedConfig) -> None:
        for part in (config, config.get_text_config()):
            found = getattr(part, "quantization_config", None)
            if found is not None:
                self.scheme = self.read(found if isinstance(found, dict) else found.to_dict())
                # the layers are the plugin's own; transformers need not know
                del part.quantization_config
                return
        raise InputError(
            f"quantizer {self.name} reads weights that are quantized already, and those of this "
            "checkpoint are not",
            where=str(run.model_folder),
            hint="leave quantizer out, or choose one that quantizes on load: ft plugins list "
            "--kind quantizer",
        )

    @hookimpl
    def ft_quantization_config(self) -> OwnLayers:
        return OwnLayers(self._place)

    @hookimpl
    def ft_prepare_model(self, model: nn.Module) -> None:
        from ft.api.packed import PackedLinear

        for layer in model.modules():
            if isinstance(layer, PackedLinear):
                layer.settle()
        model.requires_grad_(False)

    @hookimpl
    def ft_dequantize_model(self, run: Run, model: nn.Module) -> bool:
        from ft.api.packed import PackedLinear

        layers = [name for name, m in model.named_modules() if isinstance(m, PackedLinear)]
        for name in layers:
            layer: Any = model.get_submodule(name)
            layer.settle()
            model.set_submodule(name, layer.plain(run.weight_dtype))
        return True

    def _place(self, model: nn.Module, stored: Mapping[str, Tensor]) -> None:
        grouped: dict[str, dict[str, Tensor]] = {}
        for key, tensor in stored.items():
            name, _, last = key.rpartition(".")
            grouped.setdefault(name, {})[last] = tensor
        layers = dict(model.named_modules())
        for name, tensors in grouped.items():
            narrow = "weight" in tensors and tensors["weight"].dtype.itemsize == 1
            if not narrow and not any(marker in tensors for marker in self.marker):
                continue
            linear: Any = layers.get(name)
            if not _is_linear(linear):
                raise InputError(
                    f"the checkpoint has quantized weights for {name}, where this model has no "
                    "linear layer",
                    hint="experts that a model keeps in one tensor, and layers of other kinds, "
                    "cannot be trained on in this form: take a checkpoint that is not quantized",
                )
            for missing in (key for key in self.required if key not in tensors):
                raise InputError(
                    f"the checkpoint lacks {name}.{missing}, so its quantized weights cannot be "
                    "read",
                    hint="fetch the checkpoint again",
                )
            model.set_submodule(name, self.layer(name, linear, tensors))


def _is_linear(layer: object) -> bool:
    from torch import nn

    return type(layer) is nn.Linear


@runtime_checkable
class FrozenLinear(Protocol):
    """A linear layer that lends its frozen product to a kernel that differentiates around it.

    ``operands()`` are what the product needs: tensors that do not train. With them, and without
    a graph, ``multiply`` makes x Wᵀ of x (tokens, in), ``multiply_transposed`` y W of y
    (tokens, out), each in the type of its first argument and in memory of its own.
    """

    def operands(self) -> tuple[Any, ...]: ...

    @staticmethod
    def multiply(x: Tensor, *operands: Any) -> Tensor: ...

    @staticmethod
    def multiply_transposed(y: Tensor, *operands: Any) -> Tensor: ...
