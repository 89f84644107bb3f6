"""Generation by transformers, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ft.api import (
    Answer,
    Conversation,
    Encoded,
    Engine,
    Field,
    PluginOptions,
    Run,
    Sampling,
    hookimpl,
)

if TYPE_CHECKING:
    import torch
    from torch import nn


class Transformers(Engine):
    """Answers with ``model.generate``, in batches padded on the left.

    Prompts are rendered and tokenized as in training, so that the model sees at the same
    place what it saw there.
    """

    class Options(PluginOptions):
        batch_size: int = Field(8, gt=0, description="conversations answered together")

    @hookimpl
    def ft_generate(
        self, run: Run, model: nn.Module, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Answer]:
        prompts = run.tokenize([run.render(c, generation_prompt=True) for c in conversations])
        size = self.options.batch_size
        training = model.training
        model.eval()
        answers = []
        try:
            with _seeded(run, sampling.seed):
                for start in range(0, len(prompts), size):
                    chunk = slice(start, start + size)
                    tools = [conversation.tools for conversation in conversations[chunk]]
                    answers += self._answer(run, model, prompts[chunk], tools, sampling)
        finally:
            model.train(training)
        return answers

    def _answer(
        self,
        run: Run,
        model: Any,
        prompts: Sequence[Encoded],
        tools: Sequence[Sequence[Mapping[str, Any]]],
        sampling: Sampling,
    ) -> list[Answer]:
        import torch

        stops = stop_ids(run, model)
        inputs = run.to_device(pad_left(run, prompts))
        width = inputs["input_ids"].shape[1]
        noted = _Noted(sampling.temperature) if sampling.log_probs else None
        with torch.no_grad():
            output = model.generate(
                **inputs,
                streamer=_streamer(run, sampling, stops),
                max_new_tokens=sampling.max_new_tokens,
                do_sample=sampling.temperature > 0,
                temperature=sampling.temperature or None,
                top_p=sampling.top_p if sampling.temperature > 0 else None,
                top_k=sampling.top_k if sampling.temperature > 0 else None,
                repetition_penalty=sampling.repetition_penalty,
                eos_token_id=sorted(stops) or None,
                pad_token_id=run.pad_id,
                use_cache=True,
                logits_processor=[noted] if noted is not None else None,
            )
        answers = [
            _read(run, row[width:].tolist(), stops, offered)
            for row, offered in zip(output, tools, strict=True)
        ]
        if noted is not None:
            for answer, log_probs in zip(answers, noted.of(output), strict=True):
                answer.log_probs = log_probs[: len(answer.token_ids)]
        return answers


class _Noted:
    """A logits processor that changes nothing and notes the log-probability of each new token.

    Which token was chosen is known a step later, so that one step's distribution is kept and
    no more.
    """

    def __init__(self, temperature: float):
        self.temperature = temperature or 1.0
        self.log_probs: list[torch.Tensor] = []
        self.last: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._choose(input_ids[:, -1])
        self.last = (scores.float() / self.temperature).log_softmax(-1)
        return scores

    def _choose(self, tokens: torch.Tensor) -> None:
        if self.last is not None:
            self.log_probs.append(self.last.gather(-1, tokens[:, None])[:, 0])

    def of(self, output: torch.Tensor) -> list[list[float]]:
        """Those of each row of ``output``, padding included."""
        import torch

        self._choose(output[:, -1])
        return torch.stack(self.log_probs, 1).tolist()


@contextmanager
def _seeded(run: Run, seed: int | None) -> Iterator[None]:
    """Draw from ``seed``, and go on afterwards as if nothing had been drawn."""
    import torch

    if seed is None:
        yield
        return
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _read(run: Run, ids: list[int], stops: set[int], tools: Sequence[Mapping[str, Any]]) -> Answer:
    """One answer from generated ids, which may be followed by padding."""
    end = next((i for i, token in enumerate(ids) if token in stops), None)
    written = ids if end is None else ids[:end]
    text = run.tokenizer.decode(written, skip_special_tokens=False)
    token_ids = ids if end is None else ids[: end + 1]
    return Answer(text, token_ids, end is not None, run.parse_answer(text, tools))


def stop_ids(run: Run, model: Any) -> set[int]:
    """The ids that end a turn: the tokenizer's, the model's, and the template's."""
    found = {run.tokenizer.eos_token_id}
    configured = getattr(model.generation_config, "eos_token_id", None)
    found |= set(configured if isinstance(configured, list) else [configured])
    template = run.part("template")
    for text in template.stop if template is not None else ():
        ids = run.tokenizer.encode(text, add_special_tokens=False)
        if len(ids) == 1:
            found.add(ids[0])
    return found - {None}


def pad_left(run: Run, prompts: Sequence[Encoded]) -> dict[str, Any]:
    """A batch of prompts padded on the left, with their media."""
    import torch

    width = max(len(prompt) for prompt in prompts)

    def column(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
        return torch.tensor([[fill] * (width - len(row)) + list(row) for row in rows])

    batch = {
        "input_ids": column([p.input_ids for p in prompts], run.pad_id),
        "attention_mask": column([[1] * len(p) for p in prompts], 0),
    }
    for name in prompts[0].per_token:
        batch[name] = column([p.per_token[name] for p in prompts], 0)
    for name in {name for p in prompts for name in p.media}:
        batch[name] = torch.cat([p.media[name] for p in prompts if name in p.media])
    return batch


def _streamer(run: Run, sampling: Sampling, stops: set[int]) -> Any:
    """A transformers streamer that hands on each piece of text up to the stop token."""
    if sampling.stream is None:
        return None
    from transformers import TextStreamer

    hand_on = sampling.stream

    class Streamer(TextStreamer):
        def put(self, value: Any) -> None:
            ids = value.reshape(-1).tolist()
            if self.next_tokens_are_prompt or not stops & set(ids):
                super().put(value)

        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            if text:
                hand_on(text)

    return Streamer(run.tokenizer, skip_prompt=True, skip_special_tokens=False)


engine = Transformers()
