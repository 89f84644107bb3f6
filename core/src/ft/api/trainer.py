"""Kind ``trainer``: the loss, and how batches become optimizer steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from ft.api.capability import Capabilities
from ft.api.examples import Example
from ft.api.plugin import Plugin, PluginOptions

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, Any]
"""A micro batch: what the model's forward takes, plus ``labels`` and ``weights``.

``input_ids`` and ``labels`` are int64 of shape (rows, length); ``weights`` is float32 of the
same shape. Preference trainers hold one such dict under each name.
"""


@dataclass(slots=True)
class Loss:
    """A micro batch's loss, summed over its units.

    ``total`` is a float32 scalar with a graph. ``metrics`` are further sums over the same
    units, without a graph; the loop reports their means over units. A measure over anything
    else, such as a reward for each answer, goes to ``run.report``. ``outputs`` is what the
    model returned, for plugins that add a term of their own (:func:`ft_extra_loss`).
    """

    total: Tensor
    metrics: Mapping[str, float | Tensor] = field(default_factory=dict)
    outputs: Any = None


@dataclass(slots=True)
class TokenLosses:
    """The cross-entropy of the N trained tokens of a micro batch.

    ``losses`` (float32, with a graph) and ``weights`` (float32) have shape (N,);
    ``documents`` (int64, shape (N,)) numbers the document that each token belongs to, from 0
    in the order of the batch; padding between packs counts as a document. ``outputs`` is what
    the model returned; its logits cover the trained positions only and may be missing under a
    fused kernel.
    """

    losses: Tensor
    weights: Tensor
    documents: Tensor
    outputs: Any = None


class TrainerOptions(PluginOptions):
    """What every trainer understands."""

    epochs: float = Field(1.0, gt=0, description="passes over the data")
    steps: int | None = Field(None, gt=0, description="optimizer steps; beats epochs")
    batch_size: int = Field(8, gt=0, description="rows (or packs) in one optimizer step, in all")
    micro_batch_size: int | None = Field(
        None, gt=0, description="rows in one forward pass; unset: the whole batch_size"
    )
    max_length: int = Field(2048, gt=1, description="longest sequence, in tokens")
    over_length: Literal["drop", "truncate", "split", "error"] = Field(
        "drop",
        description="what happens to a longer row: left out, cut, cut into several rows, or an "
        "error; each is counted and reported",
    )
    packing: bool = Field(False, description="fill sequences of max_length with several rows")
    sort_by_length: bool = Field(
        False, description="batch rows of like length together; saves padding"
    )
    shuffle: bool = Field(True, description="a new order of rows in each epoch")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of matrix products; auto: bfloat16 where the hardware has it"
    )
    gradient_checkpointing: bool = Field(
        False, description="recompute activations backward: less memory, more time"
    )
    max_grad_norm: float | None = Field(1.0, gt=0, description="clip the gradient norm")
    log_every: int = Field(1, gt=0, description="optimizer steps between metric lines")
    eval_every: int | None = Field(
        None, gt=0, description="optimizer steps between evaluations; unset: once an epoch"
    )
    save_every: int | None = Field(
        None, gt=0, description="optimizer steps between checkpoints; unset: none but the last"
    )
    keep_checkpoints: int = Field(2, gt=0, description="newest checkpoints that are kept")

    @model_validator(mode="after")
    def _micro_divides_batch(self) -> TrainerOptions:
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"micro_batch_size {self.micro_batch_size} does not divide "
                f"batch_size {self.batch_size}"
            )
        return self


class Trainer(Plugin):
    """A training method.

    A subclass implements :func:`ft_encode` and :func:`ft_compute_loss`, and lists in
    ``takes`` the example types that it learns from. The loop, accumulation, clipping,
    checkpoints, resuming and evaluation are core's.

    One whose roles switch adapters within a loss does not accept ``gradient-checkpointing``:
    activations would be recomputed under whichever adapter is active by then.
    """

    kind = "trainer"
    Options = TrainerOptions
    takes: tuple[type[Example], ...] = ()
    needs = frozenset({"optimizer"})
    accepts = frozenset(
        {"quantized-base", "data-parallel", "virtual-tokens", "gradient-checkpointing"}
    )

    def capabilities(self) -> Capabilities:
        options = self.options
        provides = set()
        if options.packing:
            provides.add("packing")
        if options.micro_batch_size and options.micro_batch_size < options.batch_size:
            provides.add("gradient-accumulation")
        if options.max_grad_norm is not None:
            provides.add("gradient-clipping")
        if options.gradient_checkpointing:
            provides.add("gradient-checkpointing")
        return super().capabilities().also(provides=provides)
