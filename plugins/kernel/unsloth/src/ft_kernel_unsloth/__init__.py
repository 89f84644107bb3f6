"""Unsloth's fused feed-forward layers, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import MethodType
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Kernel, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn

FUSED = {"SiLUActivation": "apply_lora_mlp_swiglu", "SiLU": "apply_lora_mlp_swiglu"} | {
    "GELUActivation": "apply_lora_mlp_geglu_exact"
}
"""Class of the activation → the function in ``unsloth.kernels`` of a gated layer with it."""
PARTS = ("gate_proj", "up_proj", "down_proj")


class Unsloth(Kernel):
    """Each gated feed-forward layer under LoRA becomes one function with a backward of its own.

    That is what Unsloth offers for a model that somebody else has loaded; the rest of it comes
    with models that it loads itself. It needs a CUDA device, and LoRA on all three matrices of
    the layer, which have no bias and are in 16 bits or quantized to 4. It takes its own fallback
    under several adapters, and under autocast to another type than the weights'.

    Importing Unsloth changes transformers, PEFT and TRL in many places for the whole process,
    and cannot be taken back: a run with this kernel is one with Unsloth's changes to them.
    """

    @hookimpl
    def ft_patch_config(self, run: Run) -> None:
        if run.device.type != "cuda":
            raise InputError(
                f"kernel unsloth needs a CUDA device, and this run is on {run.device.type}",
                hint="leave it out of kernels",
            )
        if find_spec("unsloth") is None:
            raise InputError(
                "kernel unsloth: unsloth is not installed", hint="install it: pip install unsloth"
            )

    @hookimpl
    def ft_patch_trained(self, run: Run, model: nn.Module) -> None:
        layers = gated_layers(model)
        if not layers:
            raise InputError(
                "kernel unsloth: this run has no layer that it can fuse: a gated feed-forward "
                "layer with plain LoRA on its three matrices, without bias, in 16 or 4 bits",
                hint="set adapter: {name: lora, target: all-linear}, with model.dtype: bfloat16 "
                "or a quantizer; or leave the kernel out",
            )
        kernels = import_kernels()
        for layer, function in layers:
            # not in place: what a family does with the layer's input is its own business
            fused: Callable[..., Any] = partial(getattr(kernels, function), inplace=False)
            layer.forward = MethodType(fused, layer)
        run.progress.say(f"kernel unsloth: {len(layers)} feed-forward layers are fused")


def gated_layers(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The layers that Unsloth can fuse, each with the name of its function."""
    found = []
    for module in model.modules():
        matrices = [getattr(module, name, None) for name in PARTS]
        function = FUSED.get(type(getattr(module, "act_fn", None)).__name__)
        if function and all(is_plain_lora(matrix) for matrix in matrices):
            found.append((module, function))
    return found


def is_plain_lora(matrix: Any) -> bool:
    """Whether this is a linear layer with LoRA alone on a frozen base without bias."""
    base = getattr(matrix, "base_layer", None)
    if (
        base is None
        or not getattr(matrix, "lora_A", None)
        or getattr(base, "bias", None) is not None
    ):
        return False
    narrow = base.weight.dtype.itemsize <= 2
    return narrow and not base.weight.requires_grad and not getattr(matrix, "lora_variant", None)


def import_kernels() -> Any:
    """``unsloth.kernels``; raises :class:`InputError` where Unsloth refuses this environment."""
    try:
        import unsloth.kernels as kernels
    except Exception as error:  # it raises what it likes for versions that it does not go with
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"kernel unsloth: unsloth cannot be imported: {first}",
            hint="install versions that go together: pip install --upgrade unsloth",
        ) from error
    return kernels


kernel = Unsloth()
