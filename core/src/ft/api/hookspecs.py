"""Every hook of ft, in the order in which a run calls them.

This file is the manual. Each hook says when it fires, what it gets, what it returns, and
which results count:

* **first result**: plugins are asked in turn and the first that returns something other than
  ``None`` decides; core has a default behind them where one is possible;
* **all**: every selected plugin is called, and the results are combined as described;
* **addressed**: exactly one plugin is called, because a recipe may name several of its kind
  (each data set has its own format, each reward its own function).

Only core calls hooks. A run registers the plugins that its recipe selects and no others, each
bound to its options. ``run`` is the :class:`ft.api.Run` of that recipe. An implementation may
leave out arguments that it does not use. One that changes what others return, core's default
among them, wraps them as pluggy has it: ``@hookimpl(wrapper=True)``.

Plugins are called in this order: trackers, evaluators, rewards, exporter, engine, backend,
trainer, optimizer, adapter, quantizer, kernels, template, model family, data formats, sources,
then core's defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api._markers import hookspec

if TYPE_CHECKING:
    import click
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from transformers import PretrainedConfig

    from ft.api.engine import Answer, Sampling
    from ft.api.estimate import Estimate
    from ft.api.examples import Conversation, Encoded, Example, Message, Rendered
    from ft.api.run import Run
    from ft.api.trainer import Batch, Loss, TokenLosses

# -------------------------------------------------------------------------------------------
# Processes: before anything heavy is imported
# -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def ft_launch(run: Run, command: Sequence[str]) -> int | None:
    """Start the program again as several processes (backend; first result).

    Fires once, before a device is touched, in the process that the user started. ``command``
    is the argument vector that repeats this run. A backend that launches returns the exit
    code of the whole; ``None`` means that the run goes on in this process, which is what a
    launched child returns.
    """


@hookspec
def ft_start_process(run: Run) -> None:
    """Set up this process: join the group, choose the device (backend; all).

    Fires in every process after :func:`ft_launch`. Sets ``run.process`` and ``run.device``.
    Random numbers are seeded alike in all processes afterwards, and apart from the first
    step on.
    """


@hookspec(firstresult=True)
def ft_sum(run: Run, value: float | Tensor) -> float | Tensor | None:
    """Add ``value`` over all processes (backend; first result; core returns ``value``).

    A number gives a number; a tensor, on any device, one of its shape, type and device. It
    is also the place where processes wait for one another, so every process calls it.
    """


@hookspec
def ft_end_process(run: Run) -> None:
    """Leave the group again; put back what was changed outside of the run (all).

    Fires however the run ended, after :func:`ft_run_finished` or :func:`ft_run_failed`. A
    kernel that registered a function with a library takes it back here. A failure is
    reported and hides neither the run's end nor anybody else's.
    """


# -------------------------------------------------------------------------------------------
# Resolve and load
# -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def ft_resolve_source(run: Run, source: str, what: str) -> Path | None:
    """Make ``source`` a local path (source; addressed by the source's scheme).

    ``source`` comes without its scheme; a revision stands behind an ``@``. ``what`` is
    ``"model"``, ``"config"`` (configuration and tokenizer of a model, without weights) or
    ``"data"``. For a model the result is a folder that ``from_pretrained`` reads; for data a
    file or a folder of files. Downloads report to ``run.progress``. Raises
    :class:`ft.api.InputError` where the source does not exist, with what was looked for.
    """


@hookspec(firstresult=True)
def ft_load_config(run: Run, folder: Path) -> PretrainedConfig | None:
    """Read the model's configuration (model; first result)."""


@hookspec(firstresult=True)
def ft_load_processor(run: Run, folder: Path) -> Any | None:
    """Load the tokenizer, or the processor that holds one (model; first result).

    ``run.tokenizer`` is the result, or its ``tokenizer`` attribute.
    """


@hookspec
def ft_patch_config(run: Run, config: PretrainedConfig) -> None:
    """Change the configuration in place before the model is built (all).

    Kernels choose the attention implementation here, which beats the option
    ``model.attention``; families scale positions. Fires again for a result that is loaded as
    a whole model.
    """


@hookspec(firstresult=True)
def ft_quantization_config(run: Run, config: PretrainedConfig) -> Any | None:
    """The quantization that is applied on load (quantizer; first result).

    A quantization config of transformers, which ``from_pretrained`` gets, or
    :class:`ft.api.OwnLayers`, by which the weights of a checkpoint go into layers of the
    plugin's own as they are stored. ``None`` leaves the weights as the checkpoint has them.
    """


@hookspec(firstresult=True)
def ft_load_model(
    run: Run, folder: Path, config: PretrainedConfig, quantization: Any | None
) -> nn.Module | None:
    """Build the model and load its weights onto ``run.device`` (model; first result).

    Floating-point weights have ``run.weight_dtype``. A checkpoint without weights raises
    :class:`ft.api.InputError`, except where ``run.random_weights`` asks for fresh ones.
    """


# -------------------------------------------------------------------------------------------
# Patch, prepare, adapt
# -------------------------------------------------------------------------------------------


@hookspec
def ft_patch_model(run: Run, model: nn.Module) -> None:
    """Change the loaded model in place (all): fused layers, hooks around a known bug."""


@hookspec
def ft_prepare_model(run: Run, model: nn.Module) -> None:
    """Make a quantized model trainable, in place, before it is adapted (quantizer; all)."""


@hookspec(firstresult=True)
def ft_dequantize_model(run: Run, model: nn.Module) -> bool | None:
    """Make the weights of a quantized checkpoint plain again, in place (quantizer; first result).

    Fires in the place of :func:`ft_prepare_model` where a result is opened for an export, which
    leaves a recipe's quantizer out and cannot leave out that of the checkpoint. Plain weights
    have ``run.weight_dtype``. Returns true when done; without that the export is refused.
    """


@hookspec(firstresult=True)
def ft_adapt_model(run: Run, model: nn.Module) -> nn.Module | None:
    """Decide what trains (adapter; first result).

    Returns the model to train: the same object with some parameters frozen, or a wrapper
    around it. Exactly the parameters with ``requires_grad`` are trained and checkpointed.
    Fires again when a run resumes, before the checkpoint's tensors are put back, and for a
    copy of the model that a trainer asks for (``run.frozen_copy``): what it does to frozen
    weights must come out the same.

    A method that starts from the data looks at ``run.first_batches``; one that starts from what
    quantizing lost loads ``run.load_base(quantized=False)``. For ``ft plan`` the model is on the
    meta device and there is no data: its shapes are all that is asked for.
    """


@hookspec
def ft_add_modules(run: Run, model: nn.Module) -> Mapping[str, nn.Module] | None:
    """Modules that train beside the model, such as a value head (trainer; all, merged).

    They are put into ``run.modules``, moved to the device, optimized, checkpointed (buffers
    included) and saved under their names. Core averages their gradients over processes.
    This is also where a trainer calls ``run.add_adapter`` for its further roles.
    """


@hookspec
def ft_patch_trained(run: Run, model: nn.Module) -> None:
    """Change the adapted model in place (all): fuse adapter layers, compile.

    Fires once everything that trains is there and before :func:`ft_wrap_model`; names of
    parameters must stay.
    """


@hookspec
def ft_estimate(run: Run, estimate: Estimate) -> None:
    """Say what this plugin changes of a step's memory and time, for ``ft plan`` (all).

    Fires in place of :func:`ft_patch_model`, :func:`ft_prepare_model` and
    :func:`ft_patch_trained`, on a model that has no values: ``estimate.model`` may be patched in
    place, and the other fields of :class:`ft.api.Estimate` changed. A kernel without this hook is
    never proposed, and named where a recipe has it.
    """


@hookspec(firstresult=True)
def ft_wrap_model(run: Run, model: nn.Module) -> nn.Module | None:
    """Wrap the adapted model for several processes (backend; first result).

    ``run.model`` stays the inner model; forwards of the training loop go to the wrapper. It
    averages gradients over processes, which the loop allows for. A ``no_sync`` context of
    the wrapper is used for all but the last micro batch of a step.
    """


@hookspec(firstresult=True)
def ft_add_adapter(run: Run, model: nn.Module, name: str, folder: Path | None) -> bool | None:
    """Put one more adapter on the same base (adapter; first result).

    From ``folder`` where given, frozen then; fresh and trainable otherwise. Needed by
    trainers whose roles share one base model. Returns true when done. An adapter that does it
    provides ``several-adapters``.
    """


@hookspec(firstresult=True)
def ft_use_adapter(
    run: Run, model: nn.Module, name: str | None
) -> AbstractContextManager[None] | None:
    """Run with the named adapter, or with the bare base for ``None`` (adapter; first result).

    Returns a context manager; at its exit the former adapter is active again. What trains
    and what is frozen stays as it was, inside and afterwards.
    """


@hookspec(firstresult=True)
def ft_combine_adapters(
    run: Run, model: nn.Module, weights: Sequence[float], method: str, density: float | None
) -> bool | None:
    """Make one adapter of all on this base, by weight, and use it (adapter; first result).

    ``weights`` are in the order in which the adapters were put on it. ``method`` is the
    adapter's own word for how; ``density`` the share of each update that is kept, for methods
    that prune. Raises :class:`ft.api.InputError` for what cannot be combined. Returns true when
    done.
    """


@hookspec(firstresult=True)
def ft_initial_weights(run: Run, model: nn.Module) -> AbstractContextManager[None] | None:
    """Run with the weights from before the first step (adapter; first result).

    Returns a context manager as :func:`ft_use_adapter` does. ``None`` where they are gone by
    then: an adapter that is switched off leaves the base, which is where a fresh LoRA starts
    and one that goes on from a saved adapter does not.
    """


# -------------------------------------------------------------------------------------------
# Data: align, render, encode, collate
# -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def ft_align_row(run: Run, row: Mapping[str, Any]) -> Example | None:
    """Turn one raw row into a canonical example (dataset; addressed).

    Raises :class:`ft.api.RowError` with the field at fault. Never returns ``None``: dropping
    a row silently is not possible.
    """


@hookspec(firstresult=True)
def ft_render(run: Run, conversation: Conversation, generation_prompt: bool) -> Rendered | None:
    """Render a conversation to text with its trained spans (template; first result).

    With ``generation_prompt`` the text ends where the model's answer would begin, and there
    are no spans. Core's default renders the checkpoint's own Jinja template.
    """


@hookspec(firstresult=True)
def ft_parse_answer(run: Run, text: str, tools: Sequence[Mapping[str, Any]]) -> Message | None:
    """Read a generated answer back: reasoning, content, tool calls (template; first result).

    ``text`` is what the model wrote, without the turn terminator. ``tools`` are those that the
    conversation offers: a format that writes arguments as bare text has their types from there.
    """


@hookspec(firstresult=True)
def ft_tokenize(run: Run, rendered: Sequence[Rendered]) -> list[Encoded] | None:
    """Tokenize rendered conversations and carry their spans over (model; first result).

    A token is trained on when it overlaps a trained span. Core's default tokenizes text with
    offsets; with media it calls the processor, which expands the placeholders.
    """


@hookspec(firstresult=True)
def ft_encode(run: Run, examples: Sequence[Example]) -> list[Any] | None:
    """Encode canonical examples into what the trainer learns from (trainer; first result).

    One result for each example and in their order: an :class:`Encoded`, or a mapping from
    names to them (``{"chosen": …, "rejected": …}``). Other values of a mapping are carried
    along: core collates numbers, such as a margin; anything else, such as the example that an
    online trainer scores its answers with, needs an :func:`ft_collate` of the trainer's own.

    Runs ahead of training, and what it makes is kept for later runs that need the same: it may
    depend on the examples, the options, the tokenizer and ``run.seed``, and on nothing else.
    ``training_options`` names the options that it never looks at. Numbers drawn from ``random``
    or numpy are the same in whichever process it runs. With ``streaming`` it runs while the
    model trains.
    """


@hookspec(firstresult=True)
def ft_collate(run: Run, rows: Sequence[Any]) -> Batch | None:
    """Make one micro batch of encoded rows (trainer; first result).

    Core's default pads to the longest row, or joins packed rows with position ids that start
    again at each document. The batch is a dict of tensors on the CPU; ``labels`` are -100
    where the weight is 0.
    """


# -------------------------------------------------------------------------------------------
# Train
# -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def ft_build_optimizer(run: Run, model: nn.Module) -> Optimizer | None:
    """Build the optimizer over the trainable parameters (optimizer; first result).

    ``run.trainable()`` yields them by name, those of ``run.modules`` included.
    """


@hookspec(firstresult=True)
def ft_build_scheduler(run: Run, optimizer: Optimizer, steps: int) -> LRScheduler | None:
    """The learning-rate schedule over ``steps`` steps of the data (optimizer; first result).

    It moves once for each step of the data, also where :func:`ft_make_batches` makes several
    optimizer steps of one.
    """


@hookspec(firstresult=True)
def ft_result_weights(run: Run, model: nn.Module) -> AbstractContextManager[None] | None:
    """Run with the weights that count, where others train (optimizer; first result).

    For methods that average what they go through. Returns a context manager that puts them
    into the trained parameters, and at its exit puts back what was there, to the last bit.
    Entered around evaluations and where the result is saved; checkpoints are of what trains.
    """


@hookspec(firstresult=True)
def ft_train(run: Run, model: nn.Module) -> bool | None:
    """Train (trainer; first result). Returns true when done.

    Core's default is the training loop that the hooks below belong to. A trainer that brings
    a loop of its own implements this one instead. It goes from ``run.state.step`` to
    ``run.state.total_steps``, keeps ``run.state`` up to date, ends early where ``stop`` or
    ``interrupted`` is set there, and calls ``run.tell_step``, ``run.evaluate`` and
    ``run.save_checkpoint``.
    """


@hookspec(firstresult=True)
def ft_make_batches(
    run: Run, model: nn.Module, batches: list[Batch]
) -> Iterable[list[Batch]] | None:
    """Turn the micro batches of one step into those of one or more steps (trainer; first result).

    Fires at the start of each step of the data. Online trainers generate answers here, score
    them, and yield the micro batches of each optimizer step that they want to take; the
    next is asked for when the one before is taken. ``run.report`` adds metrics.

    Fires for each micro batch of an evaluation as well, with ``model.training`` false; the
    loss and what is reported are measures of the set then.
    """


@hookspec(firstresult=True)
def ft_count_units(run: Run, batch: Batch) -> float | None:
    """How many units of loss a micro batch has (trainer; first result).

    The loop divides the summed loss by the units of the whole step, over micro batches and
    processes, so that splitting a batch changes nothing. Tokens for token losses, pairs for
    pairwise ones. Core's default is the sum of the loss weights.
    """


@hookspec
def ft_forward_arguments(run: Run, batch: Batch) -> Mapping[str, Any] | None:
    """Further arguments of every forward pass (all, merged; two different values clash).

    ``batch`` is what goes into this pass, with ``labels`` and ``weights``. Generation passes
    no such arguments, so that a kernel must do without them there.
    """


@hookspec(firstresult=True)
def ft_compute_loss(run: Run, model: nn.Module, batch: Batch) -> Loss | None:
    """The loss of one micro batch, **summed** over its units (trainer; first result).

    ``model`` is what the backend wrapped. ``run.forward(model, batch)`` adds the arguments of
    :func:`ft_forward_arguments`.
    """


@hookspec
def ft_extra_loss(run: Run, outputs: Any, batch: Batch) -> Tensor | None:
    """A further term of the loss, a mean over the micro batch (all, added).

    Fires with the model's ``outputs`` where a trainer hands them on in ``Loss.outputs``, and so
    provides ``extra-loss``: the balance of a router, say. Core multiplies the scalar by the
    units of the micro batch.
    """


@hookspec
def ft_gradients_ready(run: Run, model: nn.Module) -> None:
    """The gradients of a step are summed and not yet clipped (all).

    Fires at each optimizer step, in every process.
    """


@hookspec
def ft_step_taken(run: Run, model: nn.Module) -> None:
    """The optimizer has stepped, and the gradients are still there (all).

    Fires at each optimizer step, in every process: for methods that change ranks, layers or
    masks as they go. Metrics are for :func:`ft_step_ended`.
    """


@hookspec(firstresult=True)
def ft_token_losses(
    run: Run, model: nn.Module, batch: Batch, label_smoothing: float
) -> TokenLosses | None:
    """The cross-entropy of each trained token of a micro batch (kernel; first result).

    What token-wise trainers call through ``run.token_losses``. Core's default computes logits
    at trained positions only; a kernel may fuse them with the output layer.

    With ``label_smoothing`` e above 0 (Szegedy et al., 2016, arXiv:1512.00567) a loss is
    (1 - e) of the cross-entropy and e of the mean of -log p over the vocabulary. A trainer that
    asks for it provides ``label-smoothing``, which a kernel that cannot do it does not accept.
    """


@hookspec(firstresult=True)
def ft_score(
    run: Run, conversations: Sequence[Conversation], extras: Sequence[Mapping[str, Any]]
) -> Sequence[float | None] | None:
    """Score answers (reward; addressed). The answer is each conversation's last turn.

    ``extras`` are the columns of each prompt's row. Higher is better. ``None`` stands for an
    answer that could not be scored, because a judge timed out, say: such answers are counted
    and reported. A nan is an error that names the row.
    """


@hookspec(firstresult=True)
def ft_evaluate(run: Run, model: nn.Module) -> Mapping[str, float] | None:
    """Measure the model (evaluator; addressed). The results are metrics of the step."""


# -------------------------------------------------------------------------------------------
# State, for checkpoints that a killed run resumes from
# -------------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def ft_checkpoint_state(run: Run, model: nn.Module) -> Mapping[str, Tensor] | None:
    """The tensors that a checkpoint holds of the model (adapter; first result).

    Core's default: every parameter that was trainable after :func:`ft_adapt_model`, those of
    ``run.modules`` and their buffers.
    """


@hookspec(firstresult=True)
def ft_restore_state(run: Run, model: nn.Module, tensors: Mapping[str, Tensor]) -> bool | None:
    """Put a checkpoint's tensors back, in place (adapter; first result)."""


@hookspec
def ft_plugin_state(run: Run) -> Mapping[str, Any] | None:
    """What this plugin must know to go on exactly where it was (all, each for itself).

    Plain values, lists, dicts and tensors: an adaptive coefficient, a replay buffer, the best
    value so far. Fires in every process for each checkpoint. An optimizer needs none: its
    ``state_dict`` is kept as it is.
    """


@hookspec
def ft_restore_plugin_state(run: Run, state: Mapping[str, Any]) -> None:
    """Take back what :func:`ft_plugin_state` gave (addressed)."""


# -------------------------------------------------------------------------------------------
# Life cycle. They fire in every process, those of trackers in the main one only. A tracker
# that fails is reported by name and left out from then on; any other ends the run
# -------------------------------------------------------------------------------------------


@hookspec
def ft_run_started(run: Run) -> None:
    """Everything is loaded; the first step comes next (all)."""


@hookspec
def ft_step_ended(run: Run, metrics: Mapping[str, float]) -> None:
    """The metrics of a step are told: of every ``log_every``-th step and of the last (all).

    On an accelerator that is while the next step is computed already, so that the device never
    waits for it; ``metrics`` says which step it was.

    ``metrics``: ``step``, ``epoch``, ``loss`` (mean over units), ``learning_rate``,
    ``grad_norm``, ``tokens`` (seen so far), ``tokens_per_second``, ``memory`` (bytes, peak),
    and what the trainer adds.
    """


@hookspec
def ft_evaluated(run: Run, metrics: Mapping[str, float]) -> None:
    """An evaluation ended (all). Keys are ``<set>/<metric>``; ``step`` is among them."""


@hookspec
def ft_checkpoint_saved(run: Run, folder: Path) -> None:
    """A checkpoint lies complete in ``folder`` (all)."""


@hookspec
def ft_run_finished(run: Run) -> None:
    """The result is saved (all)."""


@hookspec
def ft_run_failed(run: Run, error: BaseException) -> None:
    """The run ends with ``error``, an interrupt included (all)."""


# -------------------------------------------------------------------------------------------
# Afterwards: finish, save, restore, merge, export, generate
# -------------------------------------------------------------------------------------------


@hookspec
def ft_finish_model(run: Run, model: nn.Module) -> None:
    """Bring the trained model into its final form, in place (all): convert fake quantization.

    Fires in every process, right before :func:`ft_save_model`.
    """


@hookspec(firstresult=True)
def ft_save_model(run: Run, model: nn.Module, folder: Path) -> bool | None:
    """Write the result into ``folder`` (adapter; first result).

    Fires in every process, so that weights divided over them can be gathered; only the main
    one writes (``run.process.is_main``), and ``folder`` may not be there for the others. The
    saved form may differ from the trained one. Core's default is ``save_pretrained``.
    """


@hookspec(firstresult=True)
def ft_restore_model(run: Run, folder: Path) -> nn.Module | None:
    """Load a result again (adapter; first result).

    An adapter loads its base with ``run.load_base()`` and puts ``folder`` on it; one made for
    another base raises :class:`ft.api.InputError` with the shapes that differ. Core's default
    loads ``folder`` as a whole model.
    """


@hookspec(firstresult=True)
def ft_merge_model(run: Run, model: nn.Module) -> nn.Module | None:
    """Fold the adapter into a full-precision base (adapter; first result).

    Core's default returns the model as it is. A method that cannot merge raises
    :class:`ft.api.InputError`.
    """


@hookspec(firstresult=True)
def ft_export(run: Run, folder: Path) -> Path | None:
    """Write the run's result in another form into ``folder`` (exporter; first result).

    Returns the path that the user hands to what serves it.
    """


@hookspec
def ft_sync_weights(run: Run, model: nn.Module) -> None:
    """The next answers are to come from ``model`` as it is now (engine; all).

    Fires before the first generation, and before each later one where the weights may have
    changed since: after an optimizer step, for another model, with another adapter in use. An
    engine with weights of its own starts here the first time, and copies them; one that
    generates with ``model`` itself does without. It is stopped in :func:`ft_end_process`.
    """


@hookspec(firstresult=True)
def ft_generate(
    run: Run, model: nn.Module, conversations: Sequence[Conversation], sampling: Sampling
) -> Iterable[Answer] | None:
    """Answer conversations (engine; first result).

    One :class:`Answer` for each conversation, in their order; with ``sampling.stream`` set
    it is called with each piece of text as it is written, and ``conversations`` has one entry.
    """


@hookspec(firstresult=True)
def ft_command() -> click.Command | None:
    """A further ``ft`` subcommand (command; addressed by its name).

    Called only when the user types that subcommand; ``ft --help`` shows the summary of the
    plugin's distribution without importing it.
    """
