"""Engines: the text that the model would write, and nothing else changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ft.api import Answer, Conversation, Message, Run, Sampling, hookimpl
from ft.conformance.around import questions
from ft.conformance.bench import some, tiny_run, train, weights
from ft.conformance.check import Skip, check
from ft.conformance.reference.engine import stop_ids
from ft.conformance.reference.template import Reference
from ft.conformance.reference.template import template as reference
from ft.conformance.subject import Subject

LENGTH = 8
TAUGHT = "naïve 東京 🙂 three"
"""An answer with characters that take several tokens."""


@check("engine")
def one_answer_each(subject: Subject) -> None:
    """There is one answer for each conversation, in their order, whatever stands beside it.

    Why: online trainers score answers by their place, and evaluators pair them with what was
    asked. Batches of prompts of different lengths are where an engine mixes them up.

    Passes: three prompts of different lengths, answered together, have the answers that each
    has alone.

    Fails: an engine that sorts by length and does not sort back; padding on the right, or
    without a mask, under which a short prompt is continued otherwise.

    Example: ``answer 2 of 3 is ' Paris' where the conversation alone is answered with 'M g'``.
    """
    run = endless(tiny_run(subject))
    asked = questions(3)
    together = run.generate(asked, Sampling(max_new_tokens=LENGTH))
    assert len(together) == 3, f"there are {len(together)} answers to 3 conversations"
    for number, (one, answer) in enumerate(zip(asked, together, strict=True), 1):
        (alone,) = run.generate([one], Sampling(max_new_tokens=LENGTH))
        assert list(answer.token_ids) == list(alone.token_ids), (
            f"answer {number} of 3 is {answer.text!r} where the conversation alone is answered "
            f"with {alone.text!r}"
        )


@check("engine")
def greedy_takes_the_likeliest(subject: Subject) -> None:
    """At a temperature of 0 each token is the one that the model finds likeliest.

    Why: what is generated has to come from the model as it is now, on the prompt as it is
    rendered in training.

    Passes: the logits of the model's own forward pass, token by token, are nowhere higher
    than at the token of the answer (but for 1e-3, within which two are the same).

    Fails: an engine that holds the weights of its first answer; one that tokenizes the
    rendered prompt with a second start token; sampling where greedy was asked for.

    Example: ``token 1 of the answer is 53 (logit 2.1), and the model finds 407 (logit 7.9)
    likelier``.
    """
    run = endless(tiny_run(subject))
    change_a_little(run)
    answer = answer_one(run, Sampling(max_new_tokens=LENGTH))
    assert_likeliest(run, answer)


@check("engine")
def log_probabilities(subject: Subject) -> None:
    """The log-probabilities of an answer are the model's.

    Why: a trainer that learns from answers compares them with its own, and finds out an engine
    with other weights or another template.

    Passes: where ``Sampling.log_probs`` is set, an answer has one for each of its ids, and at
    temperatures of 0, 1 and 0.7 each is that of the model's own logits, divided by the
    temperature, within 1e-3. An engine that says ``None`` is left out.

    Fails: those of the distribution that ``top_k`` leaves; those of the likeliest token in the
    place of the one that was taken; those at a temperature of 1 whatever it is.

    Example: ``at a temperature of 0.7 token 2 of the answer has a log-probability of -3.1, and
    the engine says -0.2``.
    """
    import torch

    run = endless(tiny_run(subject))
    for temperature in (0.0, 1.0, 0.7):
        top_k = 5 if temperature else 0
        wanted = Sampling(LENGTH, temperature, top_k=top_k, seed=1, log_probs=True)
        answer = answer_one(run, wanted)
        if answer.log_probs is None:
            raise Skip("it does not say log-probabilities")
        assert len(answer.log_probs) == len(answer.token_ids), (
            f"there are {len(answer.log_probs)} log-probabilities of {len(answer.token_ids)} ids"
        )
        ids = prompt_ids(run)
        run.model.eval()
        for number, (token, said) in enumerate(
            zip(answer.token_ids, answer.log_probs, strict=True), 1
        ):
            with torch.no_grad():
                logits = next_logits(run, ids) / (temperature or 1.0)
            own = float(logits.log_softmax(-1)[token])
            assert abs(own - said) < 1e-3, (
                f"at a temperature of {temperature:g} token {number} of the answer has a "
                f"log-probability of {own:.3g}, and the engine says {said:.3g}"
            )
            ids.append(token)


@check("engine")
def a_limit_cuts(subject: Subject) -> None:
    """``max_new_tokens`` cuts an answer, and it is not called finished.

    Why: a trainer treats an answer that was cut otherwise than one that the model ended, and
    memory depends on the limit.

    Passes: of a model that does not end its turn, the answer has exactly as many ids as were
    allowed, and ``finished`` is false.

    Fails: a limit that counts the prompt as well; ``finished`` that is always true.

    Example: ``with max_new_tokens=8 the answer has 27 ids``.
    """
    run = endless(tiny_run(subject))
    for limit in (1, LENGTH):
        answer = answer_one(run, Sampling(max_new_tokens=limit))
        assert len(answer.token_ids) == limit, (
            f"with max_new_tokens={limit} the answer has {len(answer.token_ids)} ids"
        )
        assert not answer.finished, "an answer that max_new_tokens cut is called finished"
        written = run.tokenizer.decode(list(answer.token_ids))
        assert answer.text == written, f"the text is {answer.text!r} and the ids say {written!r}"


@check("engine")
def the_stop_ends_it(subject: Subject) -> None:
    """The turn's terminator ends an answer; it is among the ids and not in the text.

    Why: ids are what a trainer learns from, and the terminator has to be learnt. The text is
    what a user reads.

    Passes: an answer that the model ends after some tokens is finished, its last id is the
    template's stop, there is no other, and its text is that of the ids before.

    Fails: a text that ends with ``<|end|>``; ids without the terminator; an engine that knows
    the tokenizer's end token alone; padding after the end of a shorter answer.

    Example: ``the text ' Paris<|end|>' holds the stop token``.
    """
    run = taught(subject)
    (stop,) = run.tokenizer.encode(reference.stop[0], add_special_tokens=False)
    run.tokenizer.eos_token = run.tokenizer.pad_token  # the template alone knows the stop
    learnt = run.tokenizer.encode(TAUGHT, add_special_tokens=False)
    # the one beside it is longer, and goes on where the shorter is padded
    asked = [question(), questions(3)[2], question()]
    answer = run.generate(asked, Sampling(max_new_tokens=len(learnt) + 4))[0]
    ids = list(answer.token_ids)
    assert ids == [*learnt, stop], (
        f"the model writes the ids {learnt} and then the stop token {stop}; the answer has {ids}"
    )
    assert answer.finished, "an answer that the model ended is not called finished"
    assert answer.text == TAUGHT, f"the text is {answer.text!r}; the model writes {TAUGHT!r}"


@check("engine")
def pieces_join_to_the_text(subject: Subject) -> None:
    """What is streamed joins to the text of the answer.

    Why: a user of ``ft chat`` reads the pieces, and the next turn is built on the text.

    Passes: the pieces of an answer that is cut, and of one that the model ends, join to
    ``text`` exactly, and the answer is the one without streaming.

    Fails: pieces that repeat what was told before; half of a character; the prompt or the
    stop token among them.

    Example: ``the pieces join to ' Paris Paris' and the text is ' Paris'``.
    """
    for run in (endless(tiny_run(subject)), taught(subject)):
        pieces: list[str] = []
        plain = answer_one(run, Sampling(max_new_tokens=LENGTH * 4))
        answer = answer_one(run, Sampling(max_new_tokens=LENGTH * 4, stream=pieces.append))
        joined = "".join(pieces)
        assert joined == answer.text, (
            f"the pieces join to {joined!r} and the text is {answer.text!r}"
        )
        assert answer.text == plain.text, (
            f"streamed the answer is {answer.text!r}, and {plain.text!r} otherwise"
        )


@check("engine")
def a_seed_repeats(subject: Subject) -> None:
    """A seed gives the same answer again, and leaves the run's generators alone.

    Why: answers that are asked for with a seed are there to be compared. Where generation
    moves the generators of the whole process, asking for one changes the training after it.

    Passes: at a temperature of 1 the same seed gives the same ids twice, of four seeds two
    differ, and the generators of python, numpy and torch stand where they stood.

    Fails: ``torch.manual_seed`` without putting the state back; a seed that is not read.

    Example: ``generating with a seed moves the random generator of torch``.
    """
    run = endless(tiny_run(subject))
    settings = {"max_new_tokens": LENGTH, "temperature": 1.0}
    before = generators()
    answers = [
        list(answer_one(run, Sampling(seed=seed, **settings)).token_ids)  # type: ignore[arg-type]
        for seed in (1, 2, 3, 4, 1)
    ]
    moved = sorted(name for name, state in generators().items() if state != before[name])
    assert not moved, f"generating with a seed moves the random generator of {some(moved)}"
    assert answers[0] == answers[-1], f"seed 1 gives the ids {answers[0]} and then {answers[-1]}"
    assert any(one != answers[0] for one in answers), (
        f"seeds 1 to 4 all give the ids {answers[0]} at a temperature of 1"
    )


@check("engine")
def leaves_the_model(subject: Subject) -> None:
    """The model is left as it was: mode, weights, gradients, what trains.

    Why: online trainers generate between two training steps. A model that stays in evaluation
    mode trains without dropout from then on, and one that was frozen does not train at all.

    Passes: after generating, with the model in training mode and gradients on it, every
    module is in its mode, and all parameters, gradients and ``requires_grad`` are the same;
    torch still records graphs.

    Fails: ``model.eval()`` without the way back; ``model.requires_grad_(False)``;
    ``torch.set_grad_enabled(False)``; weights that are cast for speed.

    Example: ``after generating 23 modules are in another mode: layers.0, …``.
    """
    import torch

    run = tiny_run(subject)
    model = run.model.train()
    for _, parameter in run.trainable():
        parameter.grad = torch.ones_like(parameter)
    before, trainable = weights(run), {name for name, _ in _training(run)}
    answer_one(run, Sampling(max_new_tokens=2))
    recording = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert recording, "after generating torch records no graph any more"
    quiet = {name or "the model" for name, module in model.named_modules() if not module.training}
    assert not quiet, f"after generating {len(quiet)} modules are in another mode: {some(quiet)}"
    odd = trainable ^ {name for name, _ in _training(run)}
    assert not odd, f"after generating requires_grad is another for {some(odd)}"
    moved = {
        n for n, p in run._parameters() if p.dtype != before[n].dtype or not p.equal(before[n])
    }
    assert not moved, f"generating changes the weights {some(moved)}"
    lost = {n for n, p in run.trainable() if p.grad is None or not (p.grad == 1).all()}
    assert not lost, f"generating changes the gradients of {some(lost)}"


@check("engine")
def the_message_is_parsed(subject: Subject) -> None:
    """``message`` is the text as the template reads it.

    Why: reasoning and tool calls are in the text, in the form of the template, which alone can
    read them.

    Passes: under a template that reads an answer in its own way, ``message`` equals
    ``run.parse_answer(text)``.

    Fails: ``Message("assistant", text)``; a message that is parsed with the stop token in it.

    Example: ``message.content is ' Paris', and the template reads 'is Par'``.
    """
    template = Backwards(reference.jinja, reference.stop).bind("backwards")
    for run in (endless(tiny_run(subject, template=template)), taught(subject, template=template)):
        answer = answer_one(run, Sampling(max_new_tokens=LENGTH * 4))
        expected = run.parse_answer(answer.text)
        assert answer.message == expected, (
            f"message is {answer.message}, and the template reads {expected}"
        )


class Backwards(Reference):
    """Reads an answer from its end."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text[::-1], reasoning=text)


def question() -> Conversation:
    """A short prompt."""
    return questions(1)[0]


def answer_one(run: Run, sampling: Sampling) -> Answer:
    """The answer to :func:`question`."""
    answers = run.generate([question()], sampling)
    assert len(answers) == 1, f"there are {len(answers)} answers to one conversation"
    return answers[0]


def endless(run: Run) -> Run:
    """Have the model never end its turn: stop tokens have a logit of 0, others a higher one."""
    import torch

    with torch.no_grad():
        for token in stop_ids(run):
            run.model.get_output_embeddings().weight[token] = 0  # type: ignore[operator]
    return run


def taught(subject: Subject, **parts: Any) -> Run:
    """A run whose model has learnt to answer :func:`question` with :data:`TAUGHT`, and to end."""
    lesson = Conversation([*question().messages, Message("assistant", TAUGHT)])
    run = tiny_run(
        subject,
        folder="taught",
        examples=[lesson],
        trainer={"steps": 40, "batch_size": 1},
        **parts,
    )
    train(run)
    return run


def prompt_ids(run: Run) -> list[int]:
    """The ids of :func:`question`, as training renders it."""
    return list(run.tokenize([run.render(question(), generation_prompt=True)])[0].input_ids)


def next_logits(run: Run, ids: Sequence[int]) -> Any:
    """Logits of what follows ``ids``, of shape (vocabulary,)."""
    import torch

    inputs = torch.tensor([list(ids)], device=run.device)
    return run.model(input_ids=inputs, use_cache=False).logits[0, -1].float()


def assert_likeliest(run: Run, answer: Answer) -> None:
    """Each token of an answer has the highest logit after those before it."""
    import torch

    ids = prompt_ids(run)
    run.model.eval()
    for number, token in enumerate(answer.token_ids, 1):
        with torch.no_grad():
            logits = next_logits(run, ids)
        best = int(logits.argmax())
        assert logits[token] > logits[best] - 1e-3, (
            f"token {number} of the answer is {token} (logit {float(logits[token]):.3g}), and the "
            f"model finds {best} (logit {float(logits[best]):.3g}) likelier"
        )
        ids.append(token)


def change_a_little(run: Run) -> None:
    """Answer once, then move the weights as training does: another token is the likeliest."""
    import torch

    answer_one(run, Sampling(max_new_tokens=1))
    weight: Any = run.model.get_output_embeddings().weight  # type: ignore[operator]
    with torch.no_grad():
        weight.copy_(weight.roll(1, 0))
    run.weights_changed()
    endless(run)


def generators() -> dict[str, Any]:
    """The state of each random generator of this process, to be compared."""
    import random

    import numpy as np
    import torch

    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (keys.tobytes(), *rest),  # type: ignore[union-attr]
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


def _training(run: Run) -> list[tuple[str, Any]]:
    return [(name, p) for name, p in run._parameters() if p.requires_grad]
