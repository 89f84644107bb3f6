"""The canonical examples: what a data set holds once a dataset plugin has read it.

One conversation type carries supervised data, and its siblings carry preferences, unpaired
feedback, prompts for online training, plain text, classes, texts that belong together and
verdicts on steps. The message list follows the OpenAI
chat format, which is what chat templates read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True)
class Part:
    """One piece of a message: text, or one image, audio clip or video.

    ``source`` of a medium is a path, a URL, a ``data:`` URL, raw bytes, or an object that
    the model's processor takes (a PIL image, a numpy array of samples).
    """

    type: Literal["text", "image", "audio", "video"]
    text: str = ""
    source: Any = None


@dataclass(slots=True)
class ToolCall:
    """A call that the model makes: a function's name and its arguments as a JSON object."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


@dataclass(slots=True)
class Message:
    """One turn.

    ``train`` says whether the loss covers this turn; ``None`` leaves it to the trainer's
    ``train_on`` option. ``weight`` multiplies the loss of each of its tokens.
    """

    role: Role
    content: str | list[Part] = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    reasoning: str | None = None
    tool_call_id: str | None = None
    name: str | None = None
    train: bool | None = None
    weight: float = 1.0

    def as_template_input(self) -> dict[str, Any]:
        """The dict that Hugging Face chat templates expect for this message."""
        out: dict[str, Any] = {"role": self.role, "content": self._content()}
        if self.tool_calls:
            out["tool_calls"] = [_tool_call(call) for call in self.tool_calls]
        if self.reasoning is not None:
            # templates read it under either name
            out["reasoning_content"] = out["reasoning"] = self.reasoning
        if self.tool_call_id is not None:
            out["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            out["name"] = self.name
        return out

    def _content(self) -> str | list[dict[str, Any]]:
        if isinstance(self.content, str):
            return self.content
        return [
            {"type": "text", "text": part.text} if part.type == "text" else {"type": part.type}
            for part in self.content
        ]

    @property
    def text(self) -> str:
        """The text of this turn: its content without the parts that are media."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if part.type == "text")

    @property
    def media(self) -> list[Part]:
        """The parts of this message that are not text, in order."""
        if isinstance(self.content, str):
            return []
        return [part for part in self.content if part.type != "text"]


def _tool_call(call: ToolCall) -> dict[str, Any]:
    out: dict[str, Any] = {
        "type": "function",
        "function": {"name": call.name, "arguments": dict(call.arguments)},
    }
    if call.id is not None:
        out["id"] = call.id
    return out


@dataclass(slots=True)
class Origin:
    """Where an example came from: a file and the number of its row, counted from 1."""

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file} row {self.row}"


@dataclass(slots=True, kw_only=True)
class Example:
    """What all examples share.

    ``extra`` keeps the columns that the format does not use, so that a reward function can
    read a reference answer from them.
    """

    origin: Origin | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Conversation(Example):
    """Turns to learn from; ``tools`` are JSON schemas of the functions on offer."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Preference(Example):
    """A prompt with a better and a worse continuation; ``margin`` says by how much."""

    prompt: Sequence[Message]
    chosen: Sequence[Message]
    rejected: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    margin: float | None = None


@dataclass(slots=True)
class Feedback(Example):
    """A prompt with one continuation and a verdict on it."""

    prompt: Sequence[Message]
    answer: Sequence[Message]
    good: bool
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Prompt(Example):
    """A prompt that the model answers itself while it trains."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Text(Example):
    """Plain text, all of it trained on."""

    text: str


@dataclass(slots=True)
class Labelled(Example):
    """A text, or a conversation, and the name of the class that it belongs to."""

    content: str | Sequence[Message]
    label: str


@dataclass(slots=True)
class Similar(Example):
    """Two texts that belong together, and others that do not belong to the first."""

    anchor: str
    positive: str
    negatives: Sequence[str] = ()


@dataclass(slots=True)
class Stepwise(Example):
    """A prompt and an answer in steps; ``verdicts`` says of each how right it is, 0 to 1."""

    prompt: Sequence[Message]
    steps: Sequence[str]
    verdicts: Sequence[float]
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(slots=True)
class Rendered:
    """A conversation as one string, before tokenization.

    ``spans`` are the trained stretches as ``(start, end, weight)`` in characters of
    ``text``; ``media`` are the images, clips and videos in the order of their placeholders.
    """

    text: str
    spans: Sequence[tuple[int, int, float]] = ()
    media: Sequence[Part] = ()
    origin: Origin | None = None


@dataclass(slots=True)
class Encoded:
    """One sequence of token ids with a loss weight on each token.

    ``input_ids`` and ``weights`` have the same length L; a weight of 0 keeps the token out
    of the loss. ``per_token`` holds further columns of length L that the model reads
    (``token_type_ids``); ``media`` holds tensors whose first dimension counts media items or
    patches (``pixel_values``, ``image_grid_thw``), concatenated when rows are batched.
    """

    input_ids: Sequence[int]
    weights: Sequence[float]
    per_token: dict[str, Sequence[int]] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    origin: Origin | None = None

    def __len__(self) -> int:
        return len(self.input_ids)
