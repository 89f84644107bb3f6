"""Freeze: partial-parameter fine-tuning."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ft.api import Adapter, Capabilities, Field, InputError, PluginOptions, Run, hookimpl
from ft.api.layers import decoder_layers

if TYPE_CHECKING:
    from torch import nn


class Freeze(Adapter):
    """Chosen decoder layers, parts or parameters train; everything else stays as it is.

    The result is a whole model.
    """

    class Options(PluginOptions):
        layers: int | list[int] = Field(
            2,
            description="decoder layers that train: the last n, the first n if negative, or a "
            "list of their numbers from 0",
        )
        modules: list[str] = Field(
            default_factory=list,
            description="names inside those layers, such as mlp; unset: all of each layer",
        )
        also: list[str] = Field(
            default_factory=list,
            description="further parameters, by regular expression, such as lm_head or norm; one "
            "that is tied goes by either name",
        )
        groups: list[str] = Field(
            default_factory=list, description="whole parts that train, such as projector"
        )

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(needs={"decoder-layers"}) if self.options.layers else said

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        options, groups = self.options, run.family.groups
        for group in options.groups:
            if group not in groups:
                raise InputError(
                    f"adapter.groups: this model has no part {group!r}",
                    hint=f"its parts: {', '.join(groups) or 'none'}",
                )
        layers = tuple(f"{name}." for name in self._layers(run, model))
        self._require_modules(model, layers)
        also = further_parameters(model, options.also)
        trained = 0
        for name, parameter in model.named_parameters():
            inside = name.startswith(layers) and (
                not options.modules or any(f".{m}." in f".{name}" for m in options.modules)
            )
            chosen = inside or run.family.group_of(name) in options.groups or id(parameter) in also
            parameter.requires_grad_(chosen)
            trained += chosen
        if not trained:
            raise InputError(
                "adapter freeze leaves nothing to train",
                hint="check adapter.layers, adapter.modules and adapter.also against the "
                f"parameter names, such as {next(n for n, _ in model.named_parameters())}",
            )
        return model

    def _require_modules(self, model: nn.Module, layers: tuple[str, ...]) -> None:
        """Refuse a name that is nowhere inside the chosen layers."""
        inside = [name for name, _ in model.named_parameters() if name.startswith(layers)]
        for module in self.options.modules:
            if inside and not any(f".{module}." in name for name in inside):
                words = sorted({w for n in inside for w in n.split(".") if w.isidentifier()})
                raise InputError(
                    f"adapter.modules {module!r} is in none of the chosen layers",
                    hint=f"names inside them: {', '.join(words)}",
                )

    def _layers(self, run: Run, model: nn.Module) -> list[str]:
        """The names of the chosen decoder layers."""
        wanted = self.options.layers
        if not wanted:
            return []
        prefix, layers = decoder_layers(run, model)
        count = len(layers)
        chosen: Sequence[int]
        if isinstance(wanted, int):
            fits = abs(wanted) <= count
            chosen = range(count - wanted, count) if wanted > 0 else range(-wanted)
        else:
            fits = all(0 <= number < count for number in wanted)
            chosen = sorted(set(wanted))
        if not fits:
            raise InputError(
                f"adapter.layers {wanted}: this model has {count} decoder layers",
                hint=f"their numbers: 0 to {count - 1}" if count else None,
            )
        return [f"{prefix}.{number}" for number in chosen]


def further_parameters(model: nn.Module, patterns: Sequence[str]) -> set[int]:
    """The ids of the parameters that ``adapter.also`` means; a tied one has several names.

    Raises :class:`InputError` for a pattern that matches nothing, with names near to it.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    chosen: set[int] = set()
    for pattern in patterns:
        found = {id(parameter) for name, parameter in named if re.search(pattern, name)}
        if not found:
            words = {word for name, _ in named for word in name.split(".") if word.isidentifier()}
            near = difflib.get_close_matches(pattern, sorted(words), cutoff=0.5)
            raise InputError(
                f"adapter.also {pattern!r} matches no parameter of this model",
                hint=f"near names: {', '.join(near)}"
                if near
                else f"its parameters are called like {named[0][0]}",
            )
        chosen |= found
    return chosen


adapter = Freeze()
