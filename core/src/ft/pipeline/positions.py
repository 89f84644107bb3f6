"""Rotary positions beyond those that a model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LOCAL = ("sliding_attention", "chunked_attention")
"""Layer types that see a window only; no position in it is further away than they learned."""
BOUNDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
"""The bounds between wavelengths that stay and those that are scaled, as published."""


def scale_positions(config: PretrainedConfig, kind: str, factor: float) -> None:
    """Scale the rotary positions of ``config`` in place, for ``factor`` times the length.

    ``linear`` divides positions (arXiv:2306.15595); ``dynamic`` grows the base with the length
    of the sequence; ``yarn`` (arXiv:2309.00071) and ``llama3`` scale low frequencies alone.
    ``max_position_embeddings`` grows by the factor, except under ``dynamic``, which takes it
    for the length that was trained on. Of layers with positions of their own, those that
    attend to a window keep them. A configuration that has this scaling already, as that of a
    result does, stays as it is.

    Raises :class:`InputError` for a model without rotary positions, or with scaled ones.
    """
    text: Any = config.get_text_config()
    positions = getattr(text, "rope_parameters", None) or {}
    length = getattr(text, "max_position_embeddings", None)
    nested = {name: one for name, one in positions.items() if isinstance(one, dict)}
    scaled = [one for name, one in nested.items() if name not in LOCAL] if nested else [positions]
    if not any(scaled) or not length:
        raise InputError(
            "model.position_scaling: this model has no rotary positions",
            hint="leave it out, and keep trainer.max_length within the model's own positions",
        )
    has = {(one["rope_type"], one.get("factor")) for one in scaled}
    if has == {(kind, factor)}:
        return
    for rope_type, own in sorted(has, key=str):
        if rope_type != "default":
            by = f", factor {own:g}" if own else ""
            raise InputError(
                f"model.position_scaling: the positions of this checkpoint are scaled already "
                f"({rope_type}{by}), for {length} in all",
                hint="leave it out",
            )
    for one in scaled:
        one.update(rope_type=kind, factor=factor)
        if kind in ("yarn", "llama3"):
            one["original_max_position_embeddings"] = length
        if kind == "llama3":
            one.update(BOUNDS)
    if kind != "dynamic":
        text.max_position_embeddings = int(length * factor)


def warn_of_length(run: Run) -> None:
    """Tell the user where ``trainer.max_length`` goes beyond the positions of the model."""
    trainer, options = run.part("trainer"), run.family.options
    text = run.config.get_text_config()
    length = getattr(text, "max_position_embeddings", None)
    if trainer is None or not length or options.random_weights:
        return
    if options.position_scaling == "dynamic":
        length = int(length * options.position_factor)
    if trainer.options.max_length <= length:
        return
    can = getattr(text, "rope_parameters", None) and options.position_scaling is None
    run.progress.warn(
        f"trainer.max_length is {trainer.options.max_length}, and the model has {length} "
        "positions: what stands beyond them it never learned to read; lower trainer.max_length"
        + (", or set model.position_scaling and model.position_factor" if can else "")
    )
