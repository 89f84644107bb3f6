"""A few answers while training: what a loss does not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ft.api import Conversation, Example, InputError, Preference, Prompt, Run, Sampling
from ft.training.guards import Guards

if TYPE_CHECKING:
    from torch import nn

COUNT = 2
"""Prompts that are answered."""
LENGTH = 96
"""Tokens of an answer at most: enough to see it go round in circles."""
SHOWN = 200
"""Characters of an answer that are printed."""
GRAM, SHORTEST, LEAST = 4, 24, 0.5
"""An answer of at least :data:`SHORTEST` tokens repeats itself where fewer than this share of
its runs of :data:`GRAM` tokens are distinct. Prose has nearly all of them once (0.9 and more);
a loop of n tokens has n."""


def prompts_of(examples: Iterable[Example], count: int = COUNT) -> list[Conversation]:
    """What to answer: the first examples without their last answer.

    Texts have no question, and a conversation that does not end with an answer is left out.
    """
    found: list[Conversation] = []
    for example in examples:
        if len(found) == count:
            break
        if isinstance(example, Conversation):
            if example.messages and example.messages[-1].role == "assistant":
                found.append(replace(example, messages=list(example.messages[:-1])))
        elif isinstance(example, Preference):
            found.append(Conversation(example.prompt, example.tools, origin=example.origin))
        elif isinstance(example, Prompt):
            found.append(Conversation(example.messages, example.tools, origin=example.origin))
    return [one for one in found if one.messages]


def sample(run: Run, model: nn.Module, guards: Guards) -> None:
    """Answer the evaluation set's first prompts, print the answers, and look for repetition.

    Greedy, so that answers of two evaluations can be compared. Every process answers, since
    weights may be divided over them; the main one prints. Raises :class:`InputError` where the
    evaluation data has no prompt.
    """
    if not run.eval_prompts:
        raise InputError(
            "trainer.sample_every answers prompts of the evaluation data, and there are none",
            hint="set eval_split or eval_data to rows that are conversations, or leave it out",
        )
    answers = run.generate(run.eval_prompts, Sampling(max_new_tokens=LENGTH), model)
    repeating = []
    for conversation, answer in zip(run.eval_prompts, answers, strict=True):
        asked = conversation.messages[-1].text
        run.progress.say(f"asked   {_line(asked)}\nanswer  {_line(answer.text)}")
        share = distinct_share(answer.token_ids)
        if len(answer.token_ids) >= SHORTEST and share < LEAST:
            repeating.append(share)
    if repeating and guards.wanted != "off":
        guards.tell(
            f"{len(repeating)} of {len(answers)} sampled answers repeat themselves (only "
            f"{min(repeating):.0%} of their {GRAM}-grams are distinct); train for fewer steps or "
            "at a lower optimizer.learning_rate, and check that turn ends are trained",
            run.state.step,
        )


def distinct_share(tokens: Sequence[int], gram: int = GRAM) -> float:
    """The share of a sequence's n-grams that are distinct; 1 for one without an n-gram."""
    grams = [tuple(tokens[start : start + gram]) for start in range(len(tokens) - gram + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
