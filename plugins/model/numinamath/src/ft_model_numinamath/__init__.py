"""NuminaMath 7B TIR (Numina, 2024): a DeepSeek Math that solves problems with programs.

Its format has no place for system text, and no token that ends a turn: a problem follows a
solution. The last solution of a conversation ends with the end token. The published text leaves
that out, so only its prompts are the same.
"""

from pathlib import Path

from ft.api import Checkpoint, KnownFailure, Message, ModelFamily, Template, hookimpl


class Solutions(Template):
    """Problems and solutions under headings. The prompt ends with a space, as it was published."""

    provides = frozenset({"chat-template"})
    known_failures = (
        KnownFailure(
            "template.tokens",
            "the published prompt ends with a space, which a tokenizer may join with the answer",
            "https://huggingface.co/AI-MO/NuminaMath-7B-TIR",
        ),
    )

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removesuffix("\n"))


template = Solutions(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("### Problem:",),
    published=("AI-MO/NuminaMath-7B-TIR",),
    exact="prompts",
)

family = ModelFamily(
    title="NuminaMath",
    vendor="Numina",
    model_types=("llama",),
    templates="numinamath",
    checkpoints=(Checkpoint("AI-MO/NuminaMath-7B-TIR", parameters="7B"),),
    accepts=("packing",),
)
