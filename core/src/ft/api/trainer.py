"""Kind ``trainer``: the loss, and how batches become optimizer steps."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ft.api.capability import Capabilities
from ft.api.examples import Example
from ft.api.plugin import Plugin, PluginOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

Batch = dict[str, Any]
"""A micro batch: what the model's forward takes, plus what is for losses and kernels.

``input_ids`` and ``labels`` are int64 of shape (rows, length); ``weights`` is float32 of the
same shape. ``predicts``, and of packed rows ``documents`` and ``longest``, are as
:func:`ft_collate`'s default makes them; a batch that somebody else made may lack them, and
whoever changes ``weights`` takes ``predicts`` out.
Preference trainers hold one such dict under each name.
"""

OUTSIDE = ("labels", "weights", "predicts", "documents", "longest", "real_tokens")
"""The columns of a batch that the model does not get."""


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


@dataclass(slots=True)
class Predictions:
    """What the output layer would get at the N positions before trained tokens.

    ``states`` (the model's type, with a graph) has shape (N, width) and ``targets`` (int64)
    shape (N,): the tokens that follow. ``weights`` and ``documents`` are those of
    :class:`TokenLosses`. ``head`` is the output layer, a plain linear one. ``outputs`` is what
    the model returned; its logits cover one position only.
    """

    states: Tensor
    targets: Tensor
    weights: Tensor
    documents: Tensor
    head: nn.Linear
    outputs: Any = None


class BestBy(PluginOptions):
    """The metric by which one evaluation is better than another."""

    metric: str | None = Field(
        None, description="as in metrics.jsonl, such as eval/loss; unset: the first set's loss"
    )
    mode: Literal["min", "max"] | None = Field(
        None,
        description="which way is better; unset: known from names that end in loss, perplexity "
        "(min) or accuracy (max)",
    )


class EarlyStopping(BestBy):
    """When to wait for a better evaluation no longer."""

    patience: int = Field(3, gt=0, description="evaluations in a row without a better one")
    min_delta: float = Field(0.0, ge=0, description="by how much a better one must be better")


class Streaming(PluginOptions):
    """Data that is read while it is trained on."""

    buffer: int = Field(
        10_000, gt=0, description="rows among which the next one is drawn; held in memory"
    )


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
    streaming: bool | Streaming = Field(
        False,
        description="read and encode the data while training, rather than ahead: true, or the "
        "buffer's size; needs steps",
    )
    sort_by_length: bool = Field(
        False, description="batch rows of like length together; saves padding"
    )
    shuffle: bool = Field(True, description="a new order of rows in each epoch")
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of matrix products; auto: bfloat16 where the hardware has it"
    )
    gradient_checkpointing: bool | Annotated[int, Field(ge=0)] = Field(
        False,
        description="recompute activations backward, for less memory and more time: in all layers "
        "(true) or in that many",
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
    keep_best: bool | str | BestBy = Field(
        False,
        description="keep the checkpoint of the best evaluation too: true, a metric, or metric "
        "and mode",
    )
    load_best: bool = Field(
        False, description="the result has the weights of the best evaluation, not of the last"
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="end when evaluations get no better: patience, metric, mode, min_delta"
    )
    guards: Literal["warn", "stop", "off"] = Field(
        "warn",
        description="on a loss that diverges, gradients that explode or are missing, answers that "
        "repeat themselves; a loss that is no number stops in any case",
    )
    sample_every: int | None = Field(
        None, gt=0, description="evaluations between sampled answers; needs an engine; unset: none"
    )
    on_out_of_memory: Literal["adapt", "stop"] = Field(
        "adapt",
        description="adapt: recompute activations, then halve the micro batch, and go on; no "
        "result changes",
    )
    max_cut: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the rows that may be cut or dropped for max_length; more is an error",
    )

    @model_validator(mode="after")
    def _stream_has_an_end(self) -> TrainerOptions:
        if self.streaming and self.steps is None:
            raise ValueError("streaming needs steps: how many rows an epoch has is not known")
        if self.streaming and self.sort_by_length:
            raise ValueError("streaming cannot go with sort_by_length: lengths are not known ahead")
        return self

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
    Options: ClassVar[type[TrainerOptions]] = TrainerOptions
    takes: tuple[type[Example], ...] = ()
    training_options: ClassVar[Set[str]] = frozenset(
        {
            *("epochs", "steps", "batch_size", "micro_batch_size", "sort_by_length", "shuffle"),
            "streaming",
            *("precision", "gradient_checkpointing", "max_grad_norm", "on_out_of_memory"),
            *("log_every", "eval_every", "save_every", "keep_checkpoints", "sample_every"),
            *("keep_best", "load_best", "early_stopping", "guards", "max_cut"),
        }
    )
    """Options that :func:`ft_encode` never looks at: prepared data is used again whatever they
    are. A trainer adds its own; one that is left out costs no more than encoding once more."""
    contrasts: ClassVar[bool] = False
    """Whether the loss of a row depends on which others are in its step, so that a mean over rows
    says nothing without their number. A step in micro batches must come to the same all the
    same (:func:`ft_make_batches` sees all of it)."""
    needs = frozenset({"optimizer"})
    accepts = frozenset(
        {"quantized-base", "data-parallel", "virtual-tokens", "gradient-checkpointing"}
    )

    def capabilities(self) -> Capabilities:
        options = self.options
        provides = set()
        if options.packing:
            provides.add("packing")
        if options.streaming:
            provides.add("streaming")
        if options.micro_batch_size and options.micro_batch_size < options.batch_size:
            provides.add("gradient-accumulation")
        if options.max_grad_norm is not None:
            provides.add("gradient-clipping")
        if options.gradient_checkpointing:
            provides.add("gradient-checkpointing")
        return super().capabilities().also(provides=provides)
