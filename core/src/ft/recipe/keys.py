"""The keys of a recipe: which there are, what each takes, and what each means.

Keys of parts follow from :data:`ft.api.KINDS`; the values that belong to core itself are
pydantic models, strict so that a quoted number is not taken for a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from ft.kinds import KINDS, Kind

Key = tuple[str | int, ...]
"""Where a value stands: ``("data", 0, "rows")``, written ``data.0.rows``."""

MODEL, DATA, EVAL_DATA = "model", "data", "eval_data"

HELD_OUT = "eval"
"""The name, in metrics, of the rows that ``eval_split`` sets aside."""

PART_KINDS: dict[str, Kind] = {
    kind.key: kind for kind in KINDS.values() if kind.key not in (None, MODEL, DATA)
}
"""The kinds whose parts are written ``name`` or ``{name: …, option: …}``, by their key."""

REQUIRED = (MODEL, DATA, "adapter", "trainer")


class _Keys(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class ModelKeys(_Keys):
    """The model to start from; further keys are options of its family."""

    source: str = Field(
        min_length=1, description="a folder, a name on the hub, or scheme:rest of a source plugin"
    )
    family: str | None = Field(None, description="the model plugin; unset: inferred")


class DataKeys(_Keys):
    """One data set; further keys are options of its format."""

    path: str = Field(
        min_length=1, description="a file, a folder, a name on the hub, or scheme:rest"
    )
    format: str | None = Field(None, description="the dataset plugin; unset: inferred from columns")
    name: str | None = Field(None, description="the name in metrics; unset: from the path")
    rows: int | None = Field(None, gt=0, description="at most this many rows; unset: all")
    weight: float = Field(
        1.0,
        gt=0,
        description="share of its rows in an epoch: 0.3 is 30 %, 2 is each twice; where sets are "
        "interleaved: how often it is drawn, against the others",
    )
    on_bad_row: Literal["error", "skip"] = Field(
        "error", description="what happens at a row that the format cannot read"
    )
    split: str | None = Field(None, description="which split of the data set")
    subset: str | None = Field(None, description="which subset (configuration) of the data set")


class PartKeys(_Keys):
    """The name of a plugin; further keys are its options."""

    name: str | None = Field(None, min_length=1, description="the plugin")


class RunKeys(_Keys):
    """The values of a recipe that belong to no part."""

    eval_split: (
        Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
        | Annotated[int, Field(ge=1)]
        | None
    ) = Field(None, description="rows kept for evaluation: a share below 1, or a number of rows")
    mix: Literal["concat", "interleave-first", "interleave-last"] = Field(
        "concat",
        description="how several data sets become one: one after the other, or drawn row by row "
        "by weight until the first of them, or the last, has given all",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="seed of every random choice")
    device: str = Field("auto", min_length=1, description="auto, cpu, cuda, cuda:1, mps, …")
    output: str | None = Field(
        None, min_length=1, description="the run folder; unset: runs/ and the recipe's name"
    )


DATA_KEYS = ("eval_split", "mix")
"""Values of a recipe that stand beside its data."""

TOP_KEYS: tuple[str, ...] = (
    MODEL,
    DATA,
    EVAL_DATA,
    *DATA_KEYS,
    *PART_KINDS,
    *(key for key in RunKeys.model_fields if key not in DATA_KEYS),
)


def dotted(key: Key) -> str:
    """A key as it is written on the command line and in messages."""
    return ".".join(str(part) for part in key)


def option_fields(options: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The fields of an options model by the names that a recipe uses for them."""
    return {field.alias or name: field for name, field in options.model_fields.items()}
