"""A tiny run that answers prompts while it trains, put together without a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import tiny_run
from tiny import write_tiny

from ft.api import Conversation, Example, Message, Plugin, Prompt, Reward, Run, hookimpl
from ft.data.prepare import encode_examples
from ft_adapter_full import adapter as full
from ft_engine_transformers import engine
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer

QUESTIONS = ("Say a.", "Say three.", "Who are you?", "What is one and two?")
PROMPTS = [Prompt([Message("user", text)], extra={"wanted": "aeiou"}) for text in QUESTIONS]
OPTIONS = {
    "precision": "float32",
    "batch_size": 4,
    "steps": 4,
    "save_every": 2,
    "keep_checkpoints": 9,
    "max_new_tokens": 6,
    "max_length": 128,
}


class Letters(Reward):
    """The share of an answer's characters that are small letters: soon learnt."""

    @hookimpl
    def ft_score(self, conversations: Sequence[Conversation]) -> list[float]:
        texts = [conversation.messages[-1].text for conversation in conversations]
        return [sum("a" <= c <= "z" for c in text) / max(len(text), 1) for text in texts]


def online_run(
    folder: Path,
    trainer: Plugin,
    options: Mapping[str, Any] | None = None,
    *,
    rewards: Sequence[Plugin] | None = None,
    adapter: Plugin | None = None,
    examples: Sequence[Example] = PROMPTS,
    **parts: Mapping[str, Any],
) -> Run:
    """A run that is ready to train; ``parts`` are options of ``optimizer`` and ``engine``."""
    if not (folder / "model").exists():
        write_tiny(folder / "model", "smollm2", "llama")
    given = {k: v for k, v in {**OPTIONS, **(options or {})}.items() if v is not None}
    known = type(trainer).Options.model_fields
    plugins = [
        trainer.bind("trainer", {k: v for k, v in given.items() if k in known}),
        optimizer.bind("adamw", {"learning_rate": 1e-2, **parts.get("optimizer", {})}),
        adapter or full.bind("full"),
        template.bind("smollm2"),
        engine.bind("transformers", {"batch_size": 64, **parts.get("engine", {})}),
        *([Letters().bind("letters")] if rewards is None else rewards),
    ]
    return tiny_run(folder, plugins, family=family, rows=lambda run: encode_examples(run, examples))
