"""Have Liger change a loaded model, and keep account of what it changed."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ft.api import InputError

WORDS = {
    "rms_norm": ("rms_norm", "layer_norm"),
    "activation": ("swiglu", "geglu", "relu_squared"),
    "rotary": ("rope",),
}
"""Option of the kernel → what Liger calls it, which differs between families."""
LOSSES = ("cross_entropy", "fused_linear_cross_entropy")


@dataclass(frozen=True, slots=True)
class Patched:
    """What Liger changed: layers of the model by option, and names in modelling modules."""

    counts: Counter[str]
    former: list[tuple[ModuleType, str, Any]]

    def text(self) -> str:
        """Such as ``9 norms, 4 activations, rotary positions``."""
        said = [
            f"{self.counts[name]} {what}{'s' * (self.counts[name] > 1)}"
            for name, what in (("rms_norm", "norm"), ("activation", "activation"))
            if self.counts[name]
        ]
        return ", ".join([*said, *["rotary positions"] * bool(self.counts["rotary"])])


def patch(model: Any, parts: Sequence[str]) -> Patched:
    """Have Liger change ``model`` in place; ``parts`` are keys of :data:`WORDS`.

    Layers are changed one by one. The function for rotary positions is a name in the module of
    the model's code, and the classes of layers are exchanged there as well, for all models of
    the process: ``former`` is what to put back. Raises :class:`InputError` where Liger does not
    know the model or has none of the parts; nothing is changed then.
    """
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    kind = model.config.model_type
    if kind not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise InputError(
            f"kernel liger: Liger does not know models of type {kind}",
            hint=f"it knows: {', '.join(sorted(MODEL_TYPE_TO_APPLY_LIGER_FN))}",
        )
    apply = MODEL_TYPE_TO_APPLY_LIGER_FN[kind]
    known = inspect.signature(apply).parameters
    switches = {word: part in parts for part, words in WORDS.items() for word in words}
    switches |= dict.fromkeys(LOSSES, False)
    chosen = {word: on for word, on in switches.items() if word in known}
    before = {
        module: dict(vars(module))
        for name, module in sys.modules.items()
        if name.startswith("transformers.models.") and ".modeling_" in name
    }
    layers = {module for module in model.modules() if "forward" in vars(module)}
    try:
        try:
            apply(model=model, **chosen)
        except NotImplementedError:  # how it says that it has no rotary positions for a family
            apply(model=model, **{**chosen, "rope": False})
    except Exception as error:
        put_back(changed(before))
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"kernel liger: Liger cannot change this model of type {kind}: {first}",
            hint="leave the kernel out, or switch off the part of it that this is about",
        ) from error
    former = changed(before)
    counts = Counter(
        "rms_norm" if "Norm" in module._get_name() else "activation"
        for module in model.modules()
        if "forward" in vars(module) and module not in layers
    )
    # not what has changed: a model that is loaded once more finds it there
    counts["rotary"] = sum(
        "rotary" in name and getattr(value, "__module__", "").startswith("liger_kernel")
        for module in {type(layer).__module__ for layer in model.modules()}
        for name, value in vars(sys.modules[module]).items()
    )
    if not counts.total():
        raise InputError(
            f"kernel liger: Liger has no {' and no '.join(parts)} for models of type {kind}",
            hint="leave the kernel out, or switch on another part of it",
        )
    return Patched(counts, former)


def changed(before: dict[ModuleType, dict[str, Any]]) -> list[tuple[ModuleType, str, Any]]:
    """Names of modules that have another value now, with the one from ``before``."""
    return [
        (module, name, value)
        for module, values in before.items()
        for name, value in values.items()
        if getattr(module, name, None) is not value
    ]


def put_back(former: Sequence[tuple[ModuleType, str, Any]]) -> None:
    """Give names their former values."""
    for module, name, value in former:
        setattr(module, name, value)
