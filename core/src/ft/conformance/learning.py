"""What checks of trainers are made of: runs on examples of a type, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ft.api import (
    Answer,
    Conversation,
    Encoded,
    Engine,
    Example,
    Feedback,
    Labelled,
    Message,
    Plugin,
    Preference,
    Prompt,
    Reward,
    Run,
    Similar,
    Stepwise,
    Text,
    Tracker,
    hookimpl,
)
from ft.conformance.bench import tiny_run
from ft.conformance.check import NotRun, Skip
from ft.conformance.examples import examples_of
from ft.conformance.subject import Subject
from ft.data.prepare import Prepared
from ft.pipeline.data import Packs

if TYPE_CHECKING:
    from torch import Tensor

OFFLINE: tuple[type[Example], ...] = (
    *(Conversation, Preference, Feedback, Text),
    *(Labelled, Similar, Stepwise),
)
"""The types with a loss of their own: not prompts, whose answers are yet to be written."""
KNOWN: tuple[type[Example], ...] = (*OFFLINE, Prompt)
"""The types that the kit has examples of."""
NEW_TOKENS = 8
"""Tokens of an answer that is written while training, whatever the trainer asks for."""


class Letters(Reward):
    """The share of an answer's characters that are small letters: soon learned."""

    def __init__(self) -> None:
        self.scored = 0

    @hookimpl
    def ft_score(self, conversations: Sequence[Conversation]) -> list[float]:
        self.scored += len(conversations)
        return [letters(str(c.messages[-1].content)) for c in conversations]


def letters(text: str) -> float:
    """The share of small letters among the characters of a text."""
    return sum("a" <= character <= "z" for character in text) / max(len(text), 1)


class Watch(Tracker):
    """Notes at each step whether the model is in training mode, and keeps evaluations."""

    def __init__(self) -> None:
        self.modes: list[bool] = []
        self.evaluations: list[Mapping[str, float]] = []

    @hookimpl
    def ft_step_ended(self, run: Run) -> None:
        self.modes.append(run.model.training)

    @hookimpl
    def ft_evaluated(self, metrics: Mapping[str, float]) -> None:
        self.evaluations.append(metrics)


def _short_answers() -> Any:
    """An engine that writes a few tokens, the answers to one prompt side by side."""
    from ft.conformance.reference.engine import StepByStep, choose, stop_ids

    class Short(StepByStep):
        @hookimpl
        def ft_generate(self, run: Run, model: Any, conversations: Any, sampling: Any) -> Any:
            import torch

            prompts = run.tokenize([run.render(c, generation_prompt=True) for c in conversations])
            stops, written = stop_ids(run), [list[int]() for _ in prompts]
            groups: dict[tuple[int, ...], list[int]] = {}
            for number, prompt in enumerate(prompts):
                groups.setdefault(tuple(prompt.input_ids), []).append(number)
            training = model.training
            model.eval()
            with torch.no_grad():
                for ids, members in groups.items():
                    seen = torch.tensor([ids] * len(members))
                    for _ in range(min(sampling.max_new_tokens, NEW_TOKENS)):
                        logits = model(input_ids=seen, use_cache=False).logits[:, -1].float()
                        new = [
                            choose(row, before, sampling, None)
                            for row, before in zip(logits, seen, strict=True)
                        ]
                        seen = torch.cat((seen, torch.tensor(new)[:, None]), 1)
                        for member, token in zip(members, new, strict=True):
                            written[member].append(token)
            model.train(training)
            return [self.read(run, ids, stops) for ids in written]

        def read(self, run: Run, ids: list[int], stops: set[int]) -> Answer:
            """The answer up to its stop token."""
            ends = [place for place, token in enumerate(ids) if token in stops]
            kept = ids[: ends[0] + 1] if ends else ids
            text = run.tokenizer.decode(kept[:-1] if ends else kept)
            return Answer(text, kept, bool(ends), run.parse_answer(text))

    made: Engine = Short()
    return made.bind("short")


def types_of(subject: Subject, *wanted: type[Example]) -> list[type[Example]]:
    """The types of example that the trainer takes and the kit has, of those that are wanted.

    Raises :class:`Skip` where there is none of the wanted, and :class:`NotRun` where the
    trainer takes only types that the kit does not know.
    """
    takes = subject.plugin.takes  # type: ignore[attr-defined]
    if not takes:
        raise Skip("it does not say what it learns from")
    known = [kind for kind in KNOWN if issubclass(kind, tuple(takes))]
    if not known:
        raise NotRun(f"the kit has no examples of {' or '.join(t.__name__ for t in takes)}")
    chosen = [kind for kind in known if kind in (wanted or KNOWN)]
    if not chosen:
        raise Skip(f"it learns from {' and '.join(kind.__name__ for kind in known)}")
    return chosen


def offline_types(subject: Subject) -> list[type[Example]]:
    """The types with a loss of their own that the trainer takes."""
    return types_of(subject, *OFFLINE)


def learning_run(
    subject: Subject,
    kind: type[Example],
    *,
    folder: str = "run",
    examples: Sequence[Example] | None = None,
    adapter: bool | Plugin = False,
    parts: Mapping[str, Any] | None = None,
    **options: Any,
) -> Run:
    """A run of the trainer on examples of a type, with what it needs beside it.

    Rows are packed where its options say so. An online trainer gets an engine that writes
    short answers, and :class:`Letters`; one that needs a switchable adapter gets the
    reference's. ``options`` are the trainer's.
    """
    from ft.conformance.reference import REFERENCES

    said = subject.bind().capabilities()
    beside: dict[str, Any] = dict(parts or {})
    if kind is Prompt or said.needs & {"rewards"} or said.provides & {"generation"}:
        beside = {"engine": _short_answers(), "reward": Letters().bind("letters"), **beside}
    brings = REFERENCES["adapter"].provides
    run = tiny_run(
        subject,
        folder=f"{folder}-{kind.__name__}",
        examples=examples or examples_of(kind),
        trainer=options,
        adapter=adapter or bool(said.needs & brings),
        **beside,
    )
    settings = run.part("trainer").options
    if settings.packing and all(isinstance(row, Encoded) for row in run.data):
        run.data = Packs(run.data, settings.max_length)
    return run


def rows_of(run: Run) -> list[Any]:
    """The encoded rows of a run, out of their packs."""
    return list(run.data.rows if isinstance(run.data, Packs) else run.data)


def as_data(run: Run, rows: Sequence[Any]) -> Prepared:
    """Rows as data of a run."""
    return Prepared(list(rows), run.data.report)


def plain(row: Any) -> Any:
    """A row as plain values, which can be compared."""
    if isinstance(row, Encoded):
        columns = {name: list(column) for name, column in row.per_token.items()}
        return {"ids": list(row.input_ids), "weights": list(row.weights), **columns}
    if isinstance(row, Mapping):
        return {name: plain(value) for name, value in row.items()}
    return row


def encode(run: Run, examples: Sequence[Example]) -> list[Any]:
    """What the trainer makes of examples."""
    rows = run.hook.ft_encode(run=run, examples=list(examples))
    assert rows is not None, "ft_encode returned nothing"
    return list(rows)


def trained(row: Encoded) -> set[int]:
    """The positions of a row with a loss."""
    return {i for i, weight in enumerate(row.weights) if weight > 0}


def answers_of(examples: Sequence[Any]) -> dict[str, list[Conversation]]:
    """Prompt and answer of preferences or feedback, by which answer it is.

    Only the answer is marked as trained.
    """
    found: dict[str, list[Conversation]] = {}
    for example in examples:
        if isinstance(example, Preference):
            sides = {"chosen": example.chosen, "rejected": example.rejected}
        else:
            sides = {"good" if example.good else "bad": example.answer}
        for name, answer in sides.items():
            prompt = [replace(message, train=False) for message in example.prompt]
            written = [replace(m, train=m.role == "assistant") for m in answer]
            found.setdefault(name, []).append(Conversation([*prompt, *written]))
    return found


def log_probabilities(run: Run, conversations: Sequence[Conversation]) -> Tensor:
    """The log-probability of the trained tokens of each conversation, measured by the kit."""
    import torch

    from ft.data.collate import collate
    from ft.training.losses import token_losses

    rows = run.tokenize([run.render(conversation) for conversation in conversations])
    training = run.model.training
    run.model.eval()
    with torch.no_grad():
        tokens = token_losses(run, run.model, run.to_device(collate(run, rows)))
    run.model.train(training)
    sums = tokens.losses.new_zeros(len(rows))
    return sums.index_add(0, tokens.documents, -tokens.losses)


def loss_of(run: Run, rows: Sequence[Any]) -> tuple[Any, float]:
    """The trainer's loss of one micro batch, and its units."""
    from ft.training.losses import compute_loss

    batch = run.to_device(run.collate(list(rows)))
    units = float(run.hook.ft_count_units(run=run, batch=batch))
    return compute_loss(run, run.model, batch, units), units


def turns(trains: Sequence[bool | None], weight: float = 1.0) -> Conversation:
    """A conversation with system text and an answer for each of ``trains``, its mark."""
    messages = [Message("system", "You answer in one word.")]
    pairs = (("Who are you?", "A model."), ("What is one and two?", "Three."))
    for (question, answer), train in zip(pairs, trains, strict=True):
        messages.append(Message("user", question))
        own = weight if train else 1.0
        messages.append(Message("assistant", answer, train=train, weight=own))
    return Conversation(messages)
