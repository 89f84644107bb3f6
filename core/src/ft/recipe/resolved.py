"""A recipe with everything inferred, validated and bound: what the pipeline works from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ft.api.dataset import Dataset
from ft.plugins.selection import Selection


@dataclass(frozen=True, slots=True)
class DataPart:
    """One entry of ``data`` or ``eval_data``.

    ``path`` is the resolved file or folder; ``weight`` the share of its rows that an epoch
    takes (0.3: 30 %, 2: each twice); ``rows`` an upper bound, counted before the weight.
    """

    source: str
    path: Path
    dataset: Dataset
    name: str
    rows: int | None = None
    weight: float = 1.0
    on_bad_row: Literal["error", "skip"] = "error"
    split: str | None = None
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of the resolved recipe, and who set it.

    ``origin`` reads after "set by": ``recipe.yaml:12``, ``the command line``,
    ``default of adapter:lora``, ``suggested by trainer:sft``, ``inferred from config.json``.
    """

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a run needs to know, once nothing is open any more.

    ``settings`` maps the dotted keys of the recipe's long form (``adapter.name``,
    ``adapter.rank``, ``data.0.format``) to value and origin, in the order of a recipe.
    ``recipe_text`` is the recipe as written. ``template_choices`` are the templates that come
    into question, the selected one first; more than one where the family has several.
    """

    selection: Selection
    source: str
    model_folder: Path
    data: tuple[DataPart, ...]
    eval_data: tuple[DataPart, ...] = ()
    eval_split: float | None = None
    mix: Literal["concat", "interleave-first", "interleave-last"] = "concat"
    seed: int = 42
    device: str = "auto"
    output: Path = Path("runs/run")
    template_choices: tuple[Any, ...] = ()
    settings: dict[str, Setting] = field(default_factory=dict)
    recipe_text: str = ""

    def is_inferred(self, key: str) -> bool:
        """Whether nobody wrote the part at ``key``."""
        setting = self.settings.get(f"{key}.name")
        return setting is not None and setting.origin.startswith("inferred")

    def replace_part(self, key: str, name: str | None, origin: str) -> None:
        """Note that the part at ``key`` is another after all, or none, and why."""
        if name is not None:
            self.settings[f"{key}.name"] = Setting(name, origin)
            return
        for setting in [setting for setting in self.settings if setting.startswith(f"{key}.")]:
            del self.settings[setting]
        self.settings[key] = Setting(None, origin)
