"""The run: what every hook gets, and through which a plugin asks core for things."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ft.api.engine import Answer, Sampling
from ft.api.examples import Conversation, Encoded, Example, Message, Rendered
from ft.api.model import ModelFamily
from ft.api.progress import Progress
from ft.api.state import Process, State
from ft.api.trainer import OUTSIDE
from ft.errors import InputError, PluginError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig

    from ft.api.plugin import Plugin
    from ft.api.trainer import Batch, Predictions, TokenLosses
    from ft.plugins.selection import Selection

Summed = TypeVar("Summed", bound="float | torch.Tensor")


class Run:
    """One run of a recipe.

    ``folder`` is the run folder, ``source`` the model as the recipe names it, ``seed`` the
    run's seed. ``full_precision`` says that a base whose checkpoint is quantized is loaded with
    plain weights, as for an export; ``base`` is a model that the next :meth:`load_base` gives in
    the place of a fresh one. Filled in as the pipeline goes: ``process`` and ``device``;
    ``model_folder`` (the resolved checkpoint), ``config``, ``processor`` and ``tokenizer``,
    with ``new_tokens`` (text to id) that an adapter has to train; ``data`` and ``eval_data``
    (encoded rows); ``model`` (adapted, not wrapped), ``modules`` (trained beside it),
    ``optimizer``, ``scheduler``, ``scaler``; ``state``.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        folder: Path,
        source: str = "",
        seed: int = 42,
        progress: Progress | None = None,
    ):
        self.selection = selection
        self.folder = folder
        self.source = source
        self.seed = seed
        self.progress = progress or Progress()
        self.process = Process()
        self.device: torch.device
        self.weight_dtype: torch.dtype
        self.full_precision = False
        self.base: nn.Module | None = None
        self.model_folder: Path
        self.config: PretrainedConfig
        self.processor: Any = None
        self.tokenizer: Any = None
        self.new_tokens: dict[str, int] = {}
        self.data: Any = None
        self.eval_data: dict[str, Any] = {}
        self.eval_prompts: list[Conversation] = []
        self.template_variables: dict[str, Any] = {}
        self.model: nn.Module
        self.modules: dict[str, nn.Module] = {}
        self.trained_names: frozenset[str] = frozenset()
        self.reported: dict[str, tuple[float, float]] = {}
        self.unscored: dict[str, tuple[int, int]] = {}
        self.meter: Any = None
        self._changes = 0
        self._synced: tuple[int, int] | None = None
        self.optimizer: Any = None
        self.scheduler: Any = None
        self.scaler: Any = None
        self.state = State()

    # -- parts -----------------------------------------------------------------------------

    def part(self, kind: str) -> Any:
        """The selected plugin of ``kind``, bound to its options; ``None`` without one."""
        return self.selection.one(kind)

    def parts(self, kind: str | None = None) -> Sequence[Plugin]:
        """All selected plugins (of ``kind``), in the recipe's order."""
        return self.selection.all(kind)

    @property
    def family(self) -> ModelFamily:
        return self.selection.one("model")

    @property
    def pad_id(self) -> int:
        """The id that fills short rows; attention never reaches it."""
        from ft.data.collate import pad_id

        return pad_id(self)

    @property
    def is_finished(self) -> bool:
        """Whether the run folder holds a result."""
        return (self.folder / "result").is_dir()

    @property
    def random_weights(self) -> bool:
        return self.family.options.random_weights

    def permit(self, word: str, what: str, where: str | None = None) -> None:
        """Raise :class:`ft.api.InputError` unless the policy in force lets ``what`` be done.

        ``word`` is ``trust-remote-code`` (code that comes with a checkpoint is run),
        ``pickled-weights`` (weights are read from pickles, which can hold code) or
        ``unpinned-revisions`` (what is fetched may be another thing tomorrow). In mode
        ``open`` all of it is permitted. ``what`` begins the sentence that the user reads.
        """
        from ft.plugins.policy import read_policy

        read_policy().permit(word, what, where)

    @property
    def hook(self) -> Any:
        """The hook caller. For core: plugins use the methods of this class."""
        return self.selection.hook

    # -- model -----------------------------------------------------------------------------

    def trainable(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that train, by name: the model's, then those of ``modules``.

        The set is fixed once the model is adapted: an optimizer that trains one block at a
        time may switch ``requires_grad`` without changing it.
        """
        for name, parameter in self._parameters():
            if name in self.trained_names or (not self.trained_names and parameter.requires_grad):
                yield name, parameter

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self.model.named_parameters()
        for prefix, module in self.modules.items():
            for name, parameter in module.named_parameters():
                yield f"{prefix}.{name}", parameter

    def forward(self, model: nn.Module, batch: Mapping[str, Any], **more: Any) -> Any:
        """Run the model on a batch, with what kernels add to every forward.

        What is in the batch for losses and kernels (:data:`ft.api.trainer.OUTSIDE`) is kept
        from the model. Arguments of core's own, such as ``use_cache``, give way to those of
        ``more`` and of plugins.
        """
        inputs = {k: v for k, v in batch.items() if k not in OUTSIDE}
        for plugin, extra in self.selection.each("ft_forward_arguments", run=self, batch=batch):
            for name, value in (extra or {}).items():
                if plugin is self.selection.defaults:
                    more.setdefault(name, value)
                elif name in more and more[name] is not value:
                    raise InputError(
                        f"{plugin} sets the forward argument {name}, which is set already"
                    )
                more[name] = value
        return model(**{**inputs, **more})

    def token_losses(
        self, model: nn.Module, batch: Batch, label_smoothing: float = 0.0
    ) -> TokenLosses:
        """The cross-entropy of each trained token of a batch; token-wise losses start here."""
        return self.hook.ft_token_losses(
            run=self, model=model, batch=batch, label_smoothing=label_smoothing
        )

    def predictions(self, model: nn.Module, batch: Batch) -> Predictions | None:
        """Forward up to the output layer, for a kernel that fuses it with the loss.

        ``None`` where that cannot be done: the model changes its logits after the output layer,
        or has none. The kernel returns ``None`` then, and core computes the losses.
        """
        from ft.training.losses import predictions

        return predictions(self, model, batch)

    def hidden_states(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """What the output layer would get at each token, for a head that stands in its place.

        Of shape (rows, length, width), in the model's type and with a graph; the layer itself
        runs at a single position. Raises :class:`ft.api.InputError` for a model without one.
        """
        from ft.training.losses import hidden_states

        return hidden_states(self, model, batch)

    def autocast(self) -> AbstractContextManager[None]:
        """Matrix products in the trainer's ``precision``, as the loop computes its losses.

        For what a plugin asks of a model outside of a step.
        """
        import torch

        from ft.training.precision import choose_precision

        precision = choose_precision(self.part("trainer").options.precision, self.device)
        return torch.autocast(self.device.type, dtype=precision, enabled=precision != torch.float32)

    def load_base(self, folder: Path | None = None, *, quantized: bool = True) -> nn.Module:
        """Load the base model afresh, patched, neither adapted nor in training mode.

        With ``folder`` the whole model that lies there, with its own configuration: a method
        that changes the architecture, or a second role, loads its result so. ``quantized=False``
        leaves the run's quantizer out: the weights that it starts from.
        """
        from ft.pipeline.load import load_base

        return load_base(self, folder, quantized=quantized)

    def load_result(self) -> nn.Module:
        """Load what this run trained, from its folder, onto a freshly loaded base."""
        return self.hook.ft_restore_model(run=self, folder=self.folder / "result")

    def load_combined(
        self,
        others: Sequence[Path],
        weights: Sequence[float],
        method: str,
        density: float | None = None,
    ) -> nn.Module:
        """What this run and ``others`` trained on the same base, as one adapter on it.

        ``weights`` has one more than ``others``: this run's own comes first. ``method`` and
        ``density`` are as in :func:`ft_combine_adapters`. Raises :class:`ft.api.InputError`
        where another was trained on another base, or adapters of this kind cannot be combined.
        """
        from ft.pipeline.merged import load_combined

        return load_combined(self, others, weights, method, density)

    def merge(self, model: nn.Module, tolerance: float | None = None) -> nn.Module:
        """Fold the adapter into the base weights of a model from :meth:`load_result`.

        Raises :class:`ft.api.RunError` where that moves a log-probability of a probe by more
        than ``tolerance``; unset, by more than the type of the weights explains.
        """
        from ft.pipeline.merge import merge

        return merge(self, model, tolerance)

    def add_adapter(self, name: str, folder: Path | None = None) -> None:
        """Put one more adapter on the base, for trainers whose roles share it.

        Raises :class:`ft.api.InputError` where the chosen adapter cannot do that.
        """
        done = self.hook.ft_add_adapter(run=self, model=self.model, name=name, folder=folder)
        if not done:
            raise InputError(f"{self.part('adapter')!r} cannot hold a second adapter ({name})")

    @contextmanager
    def use_adapter(self, name: str | None) -> Iterator[None]:
        """Forward with another adapter, or with the bare base for ``None``."""
        context = self.hook.ft_use_adapter(run=self, model=self.model, name=name)
        if context is None:
            raise InputError(f"{self.part('adapter')!r} cannot be switched off or swapped")
        self.weights_changed()
        try:
            with context:
                yield
        finally:
            self.weights_changed()

    def initial_weights(self) -> AbstractContextManager[None] | None:
        """A context inside which the model is as it was before the first step.

        ``None`` where the adapter cannot bring those weights back: a trainer that needs them
        asks in :func:`ft_add_modules`, and keeps a :meth:`frozen_copy` from there then.
        """
        return self.hook.ft_initial_weights(run=self, model=self.model)

    def frozen_copy(self) -> nn.Module:
        """A second model, frozen and in evaluation mode, with the weights of now.

        Loaded and adapted afresh, so that what plugins did to the first one holds for it as
        well. In :func:`ft_add_modules` these are the weights from before the first step, also
        in a run that resumes: its checkpoint is put back later.
        """
        import torch

        copy = self.hook.ft_adapt_model(run=self, model=self.load_base())
        own = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, parameter in copy.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(own[name])
        return copy.eval().requires_grad_(False)

    def open_model(
        self, source: str, *, same_vocabulary: bool = True, auto_class: str | None = None
    ) -> Run:
        """Another model beside the one that trains: a teacher, a judge.

        ``source`` is what a recipe would name, or the folder of a finished run. The result is
        a run of its own around it, on this run's device: its ``model`` is frozen and in
        evaluation mode, and its ``tokenizer``, ``forward``, ``token_losses``, ``render`` and
        so on are that model's. ``modules`` holds what was trained beside it. ``auto_class``
        is the transformers class to build it with, where it is no language model.

        With ``same_vocabulary`` raises :class:`ft.api.InputError` where a token id stands for
        another text than in this run, before any weight is fetched or loaded.
        """
        from ft.pipeline.beside import open_model

        return open_model(self, source, same_vocabulary=same_vocabulary, auto_class=auto_class)

    # -- data ------------------------------------------------------------------------------

    def render(self, conversation: Conversation, *, generation_prompt: bool = False) -> Rendered:
        """Render a conversation with the template in force."""
        rendered = self.hook.ft_render(
            run=self, conversation=conversation, generation_prompt=generation_prompt
        )
        rendered.origin = conversation.origin
        return rendered

    def tokenize(self, rendered: Sequence[Rendered]) -> list[Encoded]:
        """Tokenize rendered conversations; their spans become token weights."""
        return self.hook.ft_tokenize(run=self, rendered=rendered)

    def encode_text(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode plain text: the tokenizer's own special tokens, an end token, all trained."""
        from ft.data.tokenize import encode_text

        return encode_text(self, texts)

    def collate(self, rows: Sequence[Any]) -> dict[str, Any]:
        """Make a micro batch of encoded rows."""
        return self.hook.ft_collate(run=self, rows=rows)

    def first_batches(self, count: int) -> Iterator[Batch]:
        """``count`` sequences of the training data in micro batches, on the device.

        For a method that looks at the data before it trains, in :func:`ft_adapt_model` say. They
        are what core collates of plain sequences, padded, whatever the trainer learns from them:
        of a pair each answer is one. The same ones every time; none where no data is prepared.
        """
        from ft.training.batches import first_batches

        return first_batches(self, count)

    def parse_answer(self, text: str, tools: Sequence[Mapping[str, Any]] = ()) -> Message:
        """Read generated text back into a message; ``tools`` are those that were offered."""
        return self.hook.ft_parse_answer(run=self, text=text, tools=tools)

    # -- generation and scores ---------------------------------------------------------------

    def generate(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling | None = None,
        model: nn.Module | None = None,
    ) -> list[Answer]:
        """Answer conversations with the model as it is now."""
        model = model if model is not None else self.model
        if self._synced != (id(model), self._changes):
            self.hook.ft_sync_weights(run=self, model=model)
            self._synced = (id(model), self._changes)
        answers = self.hook.ft_generate(
            run=self,
            model=model,
            conversations=conversations,
            sampling=sampling or Sampling(),
        )
        if answers is None:
            raise InputError(
                "no engine is selected, and this run generates text",
                hint="add an engine to the recipe, such as engine: transformers",
            )
        return list(answers)

    def weights_changed(self) -> None:
        """Have an engine with weights of its own copy them before it generates again.

        Core says so at each optimizer step, and :meth:`tell_step` for a trainer's own loop.
        """
        self._changes += 1

    @property
    def rewards(self) -> dict[str, Plugin]:
        """The selected rewards by label: the name, and ``name-2`` for a second of the same.

        ``options.weight`` of each is its factor in a trainer's sum of scores.
        """
        return self.selection.labelled("reward")

    def score(
        self, conversations: Sequence[Conversation], examples: Sequence[Example]
    ) -> dict[str, list[float | None]]:
        """The scores of each selected reward, by its label in :attr:`rewards`.

        ``None`` stands for an answer that could not be scored; what that means for its group
        or its pair is the trainer's to decide. The user is told how many there are.
        """
        extras = [example.extra for example in examples]
        scores: dict[str, list[float | None]] = {}
        for label, reward in self.rewards.items():
            found = self.selection.call(
                reward, "ft_score", run=self, conversations=conversations, extras=extras
            )
            values = [None if s is None else float(s) for s in (() if found is None else found)]
            if len(values) != len(conversations):
                raise PluginError(
                    f"reward:{label}", f"gave {len(values)} scores for {len(conversations)} answers"
                )
            for example, score in zip(examples, values, strict=True):
                if score is not None and math.isnan(score):
                    raise PluginError(
                        f"reward:{label}", "the score is nan", where=str(example.origin or "")
                    )
            missing, asked = self.unscored.get(label, (0, 0))
            self.unscored[label] = (missing + values.count(None), asked + len(values))
            scores[label] = values
        return scores

    # -- metrics -----------------------------------------------------------------------------

    def report(self, name: str, value: float | torch.Tensor, weight: float = 1.0) -> None:
        """Add a metric to the current step, or to the evaluation under way.

        What is told is the mean over calls and processes, weighted by ``weight``; a metric
        that core has under this name gives way. Every process reports the same names.
        """
        total, weights = self.reported.get(name, (0.0, 0.0))
        self.reported[name] = (total + float(value) * weight, weights + weight)

    # -- a loop of one's own (ft_train) ------------------------------------------------------

    def tell_step(self, metrics: Mapping[str, float]) -> None:
        """Tell that the step ``state.step`` ended: history, progress and :func:`ft_step_ended`.

        ``metrics`` are the trainer's own, ``loss`` among them where it has one; what
        :meth:`report` got, counters, times and memory are added. ``state.step``, ``epoch`` and
        ``tokens`` are up to date by then. Every process calls it.
        """
        from ft.training.meter import reported

        self.weights_changed()
        self.meter.report({**metrics, **reported(self)}, self.meter.place())

    def evaluate(self, model: nn.Module | None = None) -> dict[str, float]:
        """Measure the evaluation sets by :func:`ft_compute_loss`, and ask the evaluators.

        ``model`` is the wrapped model where there is one. Leaves no trace on training.
        """
        from ft.training.evaluate import evaluate

        found = evaluate(self, model if model is not None else self.model)
        self.meter.pause()
        return found

    def save_checkpoint(self) -> Path:
        """Save what :func:`ft_train` goes on from after a stop; every process calls it.

        That is the model, ``state``, random generators, plugin state and, where they are set,
        ``optimizer`` and ``scheduler``. A resumed run has them put back when it calls
        :func:`ft_train`.
        """
        from ft.training.checkpoint import save_checkpoint

        folder = save_checkpoint(self, self.part("trainer").options.keep_checkpoints)
        self.meter.pause()
        return folder

    # -- processes ---------------------------------------------------------------------------

    def sum(self, value: Summed) -> Summed:
        """``value``, a number or a tensor, added over all processes."""
        return self.hook.ft_sum(run=self, value=value)

    def to_device(self, batch: Any) -> Any:
        """A batch with its tensors on the run's device; nested dicts and lists included."""
        import torch

        if isinstance(batch, torch.Tensor):
            if self.device.type == "cuda" and batch.device.type == "cpu":
                batch = batch.pin_memory()  # or the copy would wait for the device
            return batch.to(self.device, non_blocking=True)
        if isinstance(batch, Mapping):
            return {key: self.to_device(value) for key, value in batch.items()}
        if isinstance(batch, list):
            return [self.to_device(value) for value in batch]
        return batch
