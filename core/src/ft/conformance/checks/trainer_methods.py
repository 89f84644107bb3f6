"""Trainers: their method does what it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ft.api import Conversation, Feedback, Preference, Prompt, Run, Sampling, hookimpl
from ft.conformance.bench import some, train
from ft.conformance.check import Skip, check
from ft.conformance.examples import examples_of
from ft.conformance.learning import (
    answers_of,
    learning_run,
    letters,
    log_probabilities,
    loss_of,
    rows_of,
    types_of,
)
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor

METHOD: dict[str, Any] = {"steps": 8, "batch_size": 8}
"""Options of the trainer where its method is to show an effect: all examples in each step."""


def _learns_beside(run: Run) -> None:
    """Raise :class:`Skip` for a trainer that teaches a module rather than the model to judge."""
    if run.modules:
        raise Skip(f"it trains {some(run.modules)} beside the model, whose answers may stay")


@check("trainer")
def raises_the_margin(subject: Subject) -> None:
    """Preferred answers become likelier than rejected ones.

    Why: that is what preferences are for. The trainer's own metric may be wrong in the way its
    loss is; the kit computes log-probabilities itself.

    Passes: after eight steps on eight preferences, the log-probability of the chosen answer
    less that of the rejected one has risen by at least 0.1, over all pairs.

    Fails: chosen and rejected that change places; a loss whose sign is wrong for the margin and
    right for the rest. A trainer of modules beside the model, such as a reward head, is left
    out.

    Example: ``the margin of chosen over rejected answers went from -1.2 to -9.8``.
    """
    for kind in types_of(subject, Preference):
        run = learning_run(subject, kind, **METHOD)
        _learns_beside(run)
        answers = answers_of(examples_of(kind))

        def margin(run: Run = run, answers: Any = answers) -> float:
            chosen, rejected = (log_probabilities(run, answers[s]) for s in ("chosen", "rejected"))
            return float((chosen - rejected).mean())

        before = margin()
        train(run)
        after = margin()
        subject.measure("rise of the margin", after - before)
        assert after > before + 0.1, (
            f"the margin of chosen over rejected answers went from {before:.3g} to {after:.3g}"
        )


@check("trainer")
def tells_good_from_bad(subject: Subject) -> None:
    """Good answers become likelier, and bad ones less likely.

    Why: that is what a verdict on an answer is for.

    Passes: after eight steps on four good and four bad answers, the mean log-probability of the
    good ones is higher than it was and that of the bad ones lower.

    Fails: a verdict that is not read, or read the wrong way round.

    Example: ``the log-probability of bad answers went from -31 to -4``.
    """
    for kind in types_of(subject, Feedback):
        run = learning_run(subject, kind, **METHOD)
        _learns_beside(run)
        answers = answers_of(examples_of(kind))
        before = {name: _mean(run, given) for name, given in answers.items()}
        train(run)
        for name, was in before.items():
            now = _mean(run, answers[name])
            assert now > was if name == "good" else now < was, (
                f"the log-probability of {name} answers went from {was:.3g} to {now:.3g}"
            )


def _mean(run: Run, answers: Sequence[Conversation]) -> float:
    return float(log_probabilities(run, answers).mean())


@check("trainer")
def raises_the_reward(subject: Subject) -> None:
    """Answers come to be rewarded better.

    Why: that is what training on the model's own answers is for.

    Passes: sixteen steps on four prompts, with a reward for small letters and answers of at most
    eight tokens, raise the mean reward of answers that the kit samples by at least 0.05.

    Fails: an advantage with the wrong sign; log-probabilities of other tokens than those that
    were written.

    Example: ``the mean reward went from 0.31 to 0.12``.
    """
    for kind in types_of(subject, Prompt):
        run = learning_run(subject, kind, examples=examples_of(kind, 4), steps=16)
        _learns_beside(run)
        before = _mean_reward(run)
        train(run)
        if not run.part("reward").scored:
            raise Skip("it does not ask the rewards of a run")
        after = _mean_reward(run)
        subject.measure("rise of the reward", after - before)
        assert after > before + 0.05, f"the mean reward went from {before:.3g} to {after:.3g}"


def _mean_reward(run: Run) -> float:
    """The mean share of small letters in 64 sampled answers to four prompts."""
    import torch

    asked = [Conversation(prompt.messages) for prompt in examples_of(Prompt, 4)] * 16
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        answers = run.generate(asked, Sampling(max_new_tokens=8, temperature=1.0))
    return sum(letters(answer.text) for answer in answers) / len(answers)


@check("trainer")
def starts_at_the_reference(subject: Subject) -> None:
    """The reference is the model before the first step.

    Why: a method that holds the model near a reference pulls it away from where it starts when
    that is another model: the bare base, where an adapter goes on from a saved one.

    Passes: in the first loss on preferences or feedback, each forward pass without a graph has
    the logits of the pass with one on the same tokens. Tried with the whole model, with a fresh
    adapter, and with one that is away from the base and cannot bring its start back. A trainer
    that asks no model without a graph has no reference and is left out.

    Fails: ``run.use_adapter(None)`` or ``run.load_base()`` as the reference in every case;
    ``run.initial_weights()`` is ``None`` where a ``run.frozen_copy()`` is needed.

    Example: ``with an adapter that goes on from another, the reference is not the model before
    the first step: its logits are off by 2.41``.
    """
    compared = 0
    starts: dict[str, dict[str, Any]] = {
        "the whole model": {},
        "a fresh adapter": {"adapter": True},
        "an adapter that goes on from another": {"adapter": _continued()},
    }
    for kind in types_of(subject, Preference, Feedback):
        for number, (start, how) in enumerate(starts.items()):
            run = learning_run(subject, kind, folder=f"start-{number}", **how)
            run.model.train()
            with _forwards(run) as passes:
                loss_of(run, rows_of(run)[:4])
            learnt = {ids: logits for ids, logits, graph in passes if graph}
            for ids, logits, graph in passes:
                if graph or ids not in learnt or logits.shape != learnt[ids].shape:
                    continue
                compared += 1
                off = float((logits - learnt[ids]).abs().max())
                assert off < 1e-3, (
                    f"with {start}, the reference is not the model before the first step: its "
                    f"logits are off by {off:.3g}"
                )
    if not compared:
        raise Skip("it asks no model without a graph")


def _continued() -> Any:
    """The reference adapter, away from its base and without the way back to its start."""
    from ft.conformance.reference.adapter import LowRank

    class Continued(LowRank):
        """As if it went on from a saved adapter."""

        @hookimpl
        def ft_adapt_model(self, run: Run, model: Any) -> Any:
            import torch

            model = super().ft_adapt_model(run=run, model=model)
            generator = torch.Generator().manual_seed(5)
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        noise = torch.randn(parameter.shape, generator=generator)
                        parameter.add_(noise, alpha=0.1)
            return model

        @hookimpl
        def ft_initial_weights(self, run: Run, model: Any) -> None:
            return None

    return Continued().bind("continued")


Pass = tuple[tuple[int, ...], "Tensor", bool]
"""The token ids of a forward pass, its logits, and whether it has a graph."""


@contextmanager
def _forwards(run: Run) -> Iterator[list[Pass]]:
    """Note the forward passes of every model with the architecture of the run's."""
    import torch

    seen: list[Pass] = []
    architecture = type(run.model)

    def note(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        if isinstance(module, architecture) and ids is not None:
            key = tuple(ids.flatten().tolist())
            seen.append((key, output.logits.detach().float(), torch.is_grad_enabled()))

    handle = torch.nn.modules.module.register_module_forward_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
