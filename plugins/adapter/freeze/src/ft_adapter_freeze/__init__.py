"""Freeze: partial-parameter fine-tuning."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from ft.api import Adapter, Capabilities, Field, InputError, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import nn


class Freeze(Adapter):
    """Chosen decoder layers, parts or parameters train; everything else stays as it is.

    The result is a whole model.
    """

    class Options(PluginOptions):
        layers: int = Field(
            2, description="decoder layers that train: the last n, or the first n if negative"
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
        layers = tuple(f"{name}." for name in self._layers(model, groups.get("language", "")))
        also = self._also(model)
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

    def _also(self, model: nn.Module) -> set[int]:
        """The ids of the further parameters; a tied one has several names."""
        named = list(model.named_parameters(remove_duplicate=False))
        chosen: set[int] = set()
        for pattern in self.options.also:
            found = {id(parameter) for name, parameter in named if re.search(pattern, name)}
            if not found:
                words = {
                    word for name, _ in named for word in name.split(".") if word.isidentifier()
                }
                near = difflib.get_close_matches(pattern, sorted(words), cutoff=0.5)
                raise InputError(
                    f"adapter.also {pattern!r} matches no parameter of this model",
                    hint=f"near names: {', '.join(near)}"
                    if near
                    else f"its parameters are called like {named[0][0]}",
                )
            chosen |= found
        return chosen

    def _layers(self, model: nn.Module, prefix: str) -> list[str]:
        """The names of the chosen decoder layers."""
        if not any(name == prefix for name, _ in model.named_modules()):
            prefix = ""  # the text-only model of a family that also sees has no such part
        pattern = re.compile(r"(?:.*\.)?(?:layers|h|blocks)\.\d+")
        layers = [
            name
            for name, _ in model.named_modules()
            # the part may be the list of layers itself
            if pattern.fullmatch(name) and (not prefix or name.startswith(f"{prefix}."))
        ]
        if abs(self.options.layers) > len(layers):
            raise InputError(
                f"adapter.layers {self.options.layers}: this model has {len(layers)} decoder layers"
            )
        if self.options.layers == 0:
            return []
        return (
            layers[-self.options.layers :]
            if self.options.layers > 0
            else layers[: -self.options.layers]
        )


adapter = Freeze()
