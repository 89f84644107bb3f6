"""Trainers: what they make of examples."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from ft.api import Conversation, Encoded, Example, Feedback, InputError, Message, Preference
from ft.conformance.check import Skip, check
from ft.conformance.examples import examples_of
from ft.conformance.learning import KNOWN, encode, learning_run, plain, trained, turns, types_of
from ft.conformance.subject import Subject
from ft.data.fit import sequences_of
from ft.data.prepare import encode_examples

if TYPE_CHECKING:
    pass


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
    assert takes, "takes is empty, and nothing is refused"
    others = [kind for kind in KNOWN if not issubclass(kind, takes)]
    if not others:
        raise Skip("it takes every type of example")
    run = learning_run(subject, types_of(subject)[0])
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
