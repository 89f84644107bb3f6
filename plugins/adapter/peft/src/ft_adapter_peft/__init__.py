"""Any method of the PEFT library by name, and the base classes that PEFT adapters share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ft.api import Capabilities, Field, InputError, Run
from ft_adapter_peft.base import PeftAdapter, rows_of_tokens
from ft_adapter_peft.options import LayerOptions, SavedOptions
from ft_adapter_peft.prompts import PromptAdapter
from ft_adapter_peft.saved import named
from ft_adapter_peft.seeding import seeded
from ft_adapter_peft.sizes import layer_sizes, require_divides

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

__all__ = [
    "LayerOptions",
    "PeftAdapter",
    "PromptAdapter",
    "SavedOptions",
    "adapter",
    "layer_sizes",
    "named",
    "require_divides",
    "rows_of_tokens",
    "seeded",
]


VIRTUAL_TOKENS = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT")
"""The methods that learn tokens in front of a sequence in place of changing layers."""


START_AT_BASE = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "VERA", "OFT", "BOFT")
"""The methods that change nothing until they are trained, unless told to start elsewhere."""


class Peft(PeftAdapter):
    """A PEFT method that has no plugin of its own, with its options as PEFT spells them."""

    samples = ({"method": "VERA", "config": {"r": 8, "vera_dropout": 0.0}},)

    class Options(LayerOptions):
        method: str = Field(description="PEFT's name of the method, such as IA3 or VERA")
        config: dict[str, Any] = Field(
            default_factory=dict, description="arguments of the method's PEFT configuration class"
        )

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        if self.options.method.upper() == "LORA":
            return said.also(provides={"low-rank-factors"})
        if self.options.method.upper() not in VIRTUAL_TOKENS:
            return said
        return replace(
            said,
            needs=frozenset(),
            accepts=said.accepts - {"packing"},  # they stand before a sequence, not a document
            provides=said.provides - {"mergeable"} | {"virtual-tokens"},
        )

    def starts_at_base(self) -> bool:
        chosen = [name for name in self.options.config if name.startswith("init") or name == "bias"]
        known = self.options.method.upper() in START_AT_BASE
        return super().starts_at_base() and known and not chosen

    def compared(self) -> dict[str, str]:
        own = {f"adapter.config.{name}": name for name in self.options.config}
        return {"adapter.target": "target_modules", **own}

    def peft_config(self, run: Run, model: nn.Module) -> PeftConfig:
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

        name = self.options.method.upper()
        if name not in PeftType.__members__:
            known = ", ".join(sorted(PeftType.__members__))
            raise InputError(f"PEFT has no method {name}", hint=f"methods: {known}")
        config_class = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[name]]
        settings: dict[str, Any] = {"task_type": "CAUSAL_LM"}
        if self.options.target:
            settings["target_modules"] = self.targets(run, model)
        try:
            return config_class(**settings, **self.options.config)
        except (TypeError, ValueError) as error:
            raise InputError(f"{config_class.__name__} refuses adapter.config: {error}") from error


adapter = Peft()
