"""The options that PEFT adapters share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator

from ft.api import Field, PluginOptions, RecipePath


class SavedOptions(PluginOptions):
    """What every method has: a saved adapter to go on from."""

    continue_from: RecipePath | None = Field(
        None,
        description="folder of a saved adapter of this kind to go on training; options that "
        "the recipe leaves open are those it was saved with",
    )

    saved_as: ClassVar[Mapping[str, str]] = {}
    """Options that are arguments of the method's PEFT configuration, and their names there."""

    @model_validator(mode="after")
    def _as_saved(self) -> Self:
        file = self.continue_from and self.continue_from / "adapter_config.json"
        if not file or not file.is_file():
            return self
        saved = json.loads(file.read_text(encoding="utf-8"))
        found = {
            option: saved[field]
            for option, field in self.saved_as.items()
            if option not in self.model_fields_set and saved.get(field) is not None
        }
        given = self.model_dump(exclude_unset=True)
        return self.model_validate(given | found) if found else self


class LayerOptions(SavedOptions):
    """What a method has that changes layers."""

    target: list[str] | str = Field(
        "all-linear",
        description="layers to adapt: all-linear, names or name endings, or one regular "
        "expression over whole names",
    )
    groups: list[str] = Field(
        default_factory=list,
        description="parts of a multimodal model whose linear layers all-linear covers "
        "(vision, projector, language); unset: language",
    )
    layers: list[int] | None = Field(
        None, description="numbers of the decoder layers to adapt; unset: all"
    )
    modules_to_save: list[str] = Field(
        default_factory=list, description="modules trained and saved whole, such as lm_head"
    )

    saved_as: ClassVar[Mapping[str, str]] = {
        "target": "target_modules",
        "modules_to_save": "modules_to_save",
    }
