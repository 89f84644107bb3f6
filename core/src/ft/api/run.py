"""The run: what every hook gets, and through which a plugin asks core for things."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ft.api.engine import Answer, Sampling
from ft.api.examples import Conversation, Encoded, Example, Message, Rendered
from ft.api.model import ModelFamily
from ft.errors import InputError, PluginError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig

    from ft.api.plugin import Plugin
    from ft.api.trainer import Batch, TokenLosses
    from ft.plugins.selection import Selection

Summed = TypeVar("Summed", bound="float | torch.Tensor")


@dataclass(frozen=True, slots=True)
class Process:
    """This process among those of the run."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        return self.rank == 0


class Progress:
    """Where a run reports to. This one is silent; the command line shows bars and lines."""

    def say(self, message: str) -> None:
        """Something the user should read, once."""

    def warn(self, message: str) -> None:
        """Something that may be wrong, with what to do about it."""

    def track(self, label: str, total: float | None, unit: str = "") -> Callable[[float], None]:
        """Begin a bar; the result is called with each amount done."""
        return lambda amount: None

    def step(self, metrics: Mapping[str, float], total_steps: int) -> None:
        """A training step ended; ``metrics`` as in :func:`ft_step_ended`."""

    def evaluated(self, metrics: Mapping[str, float]) -> None:
        """An evaluation ended; ``metrics`` as in :func:`ft_evaluated`."""


@dataclass(slots=True)
class State:
    """How far training is. A checkpoint stores it."""

    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    stop: bool = False
    """A plugin sets it to end training after the current step; the result is saved as ever."""
    interrupted: bool = False
    """Ctrl-C sets it: a checkpoint is saved after the current step, and the run fails."""


class Run:
    """One run of a recipe.

    ``folder`` is the run folder, ``source`` the model as the recipe names it, ``seed`` the
    run's seed. Filled in as the pipeline goes: ``process`` and ``device``; ``model_folder``
    (the resolved checkpoint), ``config``, ``processor`` and ``tokenizer``; ``data`` and
    ``eval_data`` (encoded rows); ``model`` (adapted, not wrapped), ``modules`` (trained beside
    it), ``optimizer``, ``scheduler``, ``scaler``; ``state``.
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
        self.model_folder: Path
        self.config: PretrainedConfig
        self.processor: Any = None
        self.tokenizer: Any = None
        self.data: Any = None
        self.eval_data: dict[str, Any] = {}
        self.template_variables: dict[str, Any] = {}
        self.model: nn.Module
        self.modules: dict[str, nn.Module] = {}
        self.trained_names: frozenset[str] = frozenset()
        self.reported: dict[str, tuple[float, float]] = {}
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
    def is_finished(self) -> bool:
        """Whether the run folder holds a result."""
        return (self.folder / "result").is_dir()

    @property
    def random_weights(self) -> bool:
        return self.family.options.random_weights

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

        Loss columns (``labels``, ``weights``) are kept from the model. Arguments of core's
        own, such as ``use_cache``, give way to those of ``more`` and of plugins.
        """
        inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
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

    def token_losses(self, model: nn.Module, batch: Batch) -> TokenLosses:
        """The cross-entropy of each trained token of a batch; token-wise losses start here."""
        return self.hook.ft_token_losses(run=self, model=model, batch=batch)

    def load_base(self, folder: Path | None = None) -> nn.Module:
        """Load the base model afresh, patched, neither adapted nor in training mode.

        With ``folder`` the whole model that lies there, with its own configuration: a method
        that changes the architecture, or a second role, loads its result so.
        """
        from ft.pipeline.load import load_base

        return load_base(self, folder)

    def load_result(self) -> nn.Module:
        """Load what this run trained, from its folder, onto a freshly loaded base."""
        return self.hook.ft_restore_model(run=self, folder=self.folder / "result")

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold the adapter into the base weights of a model from :meth:`load_result`."""
        return self.hook.ft_merge_model(run=self, model=model)

    def add_adapter(self, name: str, folder: Path | None = None) -> None:
        """Put one more adapter on the base, for trainers whose roles share it.

        Raises :class:`ft.api.InputError` where the chosen adapter cannot do that.
        """
        done = self.hook.ft_add_adapter(run=self, model=self.model, name=name, folder=folder)
        if not done:
            raise InputError(f"{self.part('adapter')!r} cannot hold a second adapter ({name})")

    def use_adapter(self, name: str | None) -> AbstractContextManager[None]:
        """Forward with another adapter, or with the bare base for ``None``."""
        context = self.hook.ft_use_adapter(run=self, model=self.model, name=name)
        if context is None:
            raise InputError(f"{self.part('adapter')!r} cannot be switched off or swapped")
        return context

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

    def parse_answer(self, text: str) -> Message:
        """Read generated text back into a message."""
        return self.hook.ft_parse_answer(run=self, text=text)

    # -- generation and scores ---------------------------------------------------------------

    def generate(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling | None = None,
        model: nn.Module | None = None,
    ) -> list[Answer]:
        """Answer conversations with the model as it is now."""
        answers = self.hook.ft_generate(
            run=self,
            model=model if model is not None else self.model,
            conversations=conversations,
            sampling=sampling or Sampling(),
        )
        if answers is None:
            raise InputError(
                "no engine is selected, and this run generates text",
                hint="add an engine to the recipe, such as engine: transformers",
            )
        return list(answers)

    def score(
        self, conversations: Sequence[Conversation], examples: Sequence[Example]
    ) -> dict[str, list[float]]:
        """The scores of each selected reward, by its name."""
        extras = [example.extra for example in examples]
        scores: dict[str, list[float]] = {}
        for reward in self.parts("reward"):
            found = self.selection.call(
                reward, "ft_score", run=self, conversations=conversations, extras=extras
            )
            scores[reward.name] = [float(s) for s in (() if found is None else found)]
            if len(scores[reward.name]) != len(conversations):
                raise PluginError(
                    f"reward:{reward.name}",
                    f"gave {len(scores[reward.name])} scores for {len(conversations)} answers",
                )
            for example, score in zip(examples, scores[reward.name], strict=True):
                if math.isnan(score):
                    raise PluginError(
                        f"reward:{reward.name}", "the score is nan", where=str(example.origin or "")
                    )
        return scores

    # -- metrics -----------------------------------------------------------------------------

    def report(self, name: str, value: float, weight: float = 1.0) -> None:
        """Add a metric to the current step, or to the evaluation under way.

        What is told is the mean over calls and processes, weighted by ``weight``; a metric
        that core has under this name gives way. Every process reports the same names.
        """
        total, weights = self.reported.get(name, (0.0, 0.0))
        self.reported[name] = (total + float(value) * weight, weights + weight)

    # -- processes ---------------------------------------------------------------------------

    def sum(self, value: Summed) -> Summed:
        """``value``, a number or a tensor, added over all processes."""
        return self.hook.ft_sum(run=self, value=value)

    def to_device(self, batch: Any) -> Any:
        """A batch with its tensors on the run's device; nested dicts and lists included."""
        import torch

        if isinstance(batch, torch.Tensor):
            return batch.to(self.device, non_blocking=True)
        if isinstance(batch, Mapping):
            return {key: self.to_device(value) for key, value in batch.items()}
        if isinstance(batch, list):
            return [self.to_device(value) for value in batch]
        return batch
