"""Trainers: what they make of examples, and whether their method does what it is for."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ft.api import (
    Conversation,
    Encoded,
    Example,
    Feedback,
    InputError,
    Message,
    Preference,
    Prompt,
    Run,
    Sampling,
    hookimpl,
)
from ft.conformance.bench import Rows, some, tiny_run, train
from ft.conformance.check import Skip, check
from ft.conformance.examples import examples_of
from ft.conformance.learning import (
    KNOWN,
    answers_of,
    encode,
    learning_run,
    letters,
    log_probabilities,
    loss_of,
    plain,
    rows_of,
    trained,
    turns,
    types_of,
)
from ft.conformance.subject import Subject
from ft.data.fit import sequences_of
from ft.data.prepare import encode_examples

if TYPE_CHECKING:
    from torch import Tensor

METHOD: dict[str, Any] = {"steps": 8, "batch_size": 8}
"""Options of the trainer where its method is to show an effect: all examples in each step."""


# -- examples ------------------------------------------------------------------------------


@check("trainer", light=True)
def says_what_it_learns_from(subject: Subject) -> None:
    """``takes`` lists the types of example that it learns from.

    Why: with that, data in another form is refused before anything is loaded, and the right
    trainer is found for data that is there.

    Passes: ``takes`` has at least one subclass of :class:`ft.api.Example`.

    Fails: a trainer that leaves it empty; a type of its own that no data format makes.

    Example: ``takes is empty: say which types of example it learns from``.
    """
    takes = subject.plugin.takes  # type: ignore[attr-defined]
    assert takes, "takes is empty: say which types of example it learns from"
    odd = [t for t in takes if not (isinstance(t, type) and issubclass(t, Example))]
    assert not odd, f"takes has {odd[0]!r}, which is no type of example"


@check("trainer")
def refuses_other_examples(subject: Subject) -> None:
    """An example of a type that it does not take is refused.

    Why: plain text in the place of preferences is a mistake in the recipe, and the message has
    to say so; an ``AttributeError`` from the middle of a trainer does not.

    Passes: for each type that is not in ``takes``, preparing such examples raises
    :class:`ft.api.InputError`. Core does that for a trainer with ``takes``.

    Fails: a trainer without ``takes``.

    Example: ``Text examples fail with AttributeError ('Text' object has no attribute
    'messages') rather than with an ft.api.InputError``.
    """
    takes = tuple(subject.plugin.takes)  # type: ignore[attr-defined]
    others = [kind for kind in KNOWN if not issubclass(kind, takes)]
    if not others:
        raise Skip("it takes every type of example")
    run = tiny_run(subject, rows=Rows())
    for kind in others:
        try:
            encode_examples(run, examples_of(kind)[:1])
        except InputError:
            continue
        except Exception as error:
            raise AssertionError(
                f"{kind.__name__} examples fail with {type(error).__name__} ({error}) rather "
                "than with an ft.api.InputError"
            ) from error
        raise AssertionError(f"{kind.__name__} examples are not in takes, and are not refused")


@check("trainer")
def encodes_one_row_each(subject: Subject) -> None:
    """Each example becomes one row, in their order.

    Why: core assigns rows to examples by their place: for counts, for weights of data sets, for
    messages that name a row of a file.

    Passes: eight examples of each type, and the first of them once more, give nine rows; each
    is what its example gives alone; ids are of the tokenizer's, and each has one weight.

    Fails: rows without an answer that are left out; duplicates that are dropped; an order by
    length.

    Example: ``example 3 of 9 gives another row among the others than alone``.
    """
    for kind in types_of(subject):
        run = learning_run(subject, kind)
        examples = [*examples_of(kind), examples_of(kind)[0]]
        rows = encode(run, examples)
        assert len(rows) == len(examples), (
            f"ft_encode makes {len(rows)} rows of {len(examples)} examples"
        )
        for number, (example, row) in enumerate(zip(examples, rows, strict=True), 1):
            (alone,) = encode(run, [example]) or [None]
            assert plain(row) == plain(alone), (
                f"example {number} of {len(examples)} gives another row among the others than alone"
            )
            sequences = sequences_of(row)
            assert sequences, f"example {number} gives a row without a sequence of tokens"
            for sequence in sequences:
                _assert_well_formed(sequence, len(run.tokenizer), number)


def _assert_well_formed(sequence: Encoded, vocabulary: int, number: int) -> None:
    ids, weights = list(sequence.input_ids), list(sequence.weights)
    assert len(ids) == len(weights), (
        f"example {number} gives {len(ids)} ids and {len(weights)} weights"
    )
    assert ids, f"example {number} gives an empty sequence"
    assert 0 <= min(ids) <= max(ids) < vocabulary, (
        f"example {number} gives an id that the tokenizer does not have"
    )


@check("trainer")
def encoding_leaves_examples(subject: Subject) -> None:
    """Encoding changes no example, and is the same each time.

    Why: an example that a data set's weight repeats is one object, and others look at it later:
    rewards, evaluators, a run that resumes and encodes again.

    Passes: after ``ft_encode`` the examples of each type are equal to what they were, and
    encoding them again gives equal rows.

    Fails: a system message that is inserted into the example itself; a random choice among
    prompts.

    Example: ``encoding changes Conversation example 1``.
    """
    for kind in types_of(subject):
        run = learning_run(subject, kind)
        examples = examples_of(kind)
        before = copy.deepcopy(examples)
        first = [plain(row) for row in encode(run, examples)]
        for number, (example, was) in enumerate(zip(examples, before, strict=True), 1):
            assert example == was, f"encoding changes {kind.__name__} example {number}"
        again = [plain(row) for row in encode(run, examples)]
        for number, (one, other) in enumerate(zip(first, again, strict=True), 1):
            assert one == other, f"{kind.__name__} example {number} gives another row each time"


@check("trainer")
def trains_on_answers(subject: Subject) -> None:
    """Only answers have a loss.

    Why: a model that learns to write its users' questions wastes its capacity, and one whose
    mask is a token off learns to end its turns in the wrong place.

    Passes: of a conversation, what has a weight is marked by the template as the model's own;
    options of the trainer may say otherwise, and a sample with options is left out here. Of
    preferences and feedback, nothing of the prompt has a weight, the answers in it included,
    and something of the answer has.

    Fails: a weight for every token; a mask that is shifted by one; a prompt whose earlier turns
    are trained on in both answers.

    Example: ``'<|assistant|>' has a weight, and the template does not mark it``.
    """
    for kind in types_of(subject, Conversation, Preference, Feedback):
        if kind is Conversation:
            if not subject.sample:
                _assert_marked(subject)
        else:
            _assert_prompt_untrained(subject, kind)


def _assert_marked(subject: Subject) -> None:
    run = learning_run(subject, Conversation)
    example = turns((None, None))
    (marked,) = run.tokenize([run.render(example)])
    for row in sequences_of(encode(run, [example])[0]):
        if list(row.input_ids) != list(marked.input_ids):
            continue
        odd = sorted(trained(row) - trained(marked))
        text = run.tokenizer.decode([row.input_ids[i] for i in odd[:1]])
        assert not odd, f"{text!r} has a weight, and the template does not mark it"
        assert trained(row), "of a conversation with two answers nothing has a weight"


def _assert_prompt_untrained(subject: Subject, kind: type[Example]) -> None:
    run = learning_run(subject, kind)
    (example,) = examples_of(kind)[:1]
    example.prompt = [Message("user", "Hello."), Message("assistant", "Hi."), *example.prompt]
    asked = run.render(Conversation(example.prompt), generation_prompt=True)
    prompt = list(run.tokenize([asked])[0].input_ids)
    for row in sequences_of(encode(run, [example])[0]):
        if list(row.input_ids)[: len(prompt)] != prompt:
            continue
        odd = [i for i in sorted(trained(row)) if i < len(prompt)]
        text = run.tokenizer.decode([row.input_ids[i] for i in odd[:1]])
        assert not odd, f"{text!r} is part of the prompt and has a weight"


@check("trainer")
def honours_marks_of_messages(subject: Subject) -> None:
    """``train`` and ``weight`` of a message decide.

    Why: data may say which turns are good, and how much they count. That beats what the
    trainer's options say of turns in general.

    Passes: of a conversation whose first answer has ``train=False`` and whose second has
    ``train=True`` and ``weight=2.0``, the tokens of the first have weight 0, and those of the
    second 2.

    Fails: messages that are made anew without their marks; a mask of zeros and ones.

    Example: ``'Three' belongs to an answer with weight 2, and has 1``.
    """
    types_of(subject, Conversation)
    run = learning_run(subject, Conversation)
    (first,) = run.tokenize([run.render(turns((True, False)))])
    (second,) = run.tokenize([run.render(turns((False, True)))])
    for row in sequences_of(encode(run, [turns((False, True), weight=2.0)])[0]):
        if list(row.input_ids) != list(first.input_ids):
            continue
        for position, weight in enumerate(row.weights):
            text = run.tokenizer.decode([row.input_ids[position]])
            if position in trained(first):
                assert weight == 0, f"{text!r} belongs to an answer with train=False, and counts"
            elif position in trained(second):
                assert weight == 2, (
                    f"{text!r} belongs to an answer with weight 2, and has {weight:g}"
                )


# -- methods -------------------------------------------------------------------------------


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
