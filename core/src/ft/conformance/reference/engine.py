"""The reference engine: the model's own forward pass, a token at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ft.api import Answer, Conversation, Engine, Run, Sampling, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn


class StepByStep(Engine):
    """Answers one conversation after another, without a cache."""

    @hookimpl
    def ft_generate(
        self, run: Run, model: nn.Module, conversations: Sequence[Conversation], sampling: Sampling
    ) -> list[Answer]:
        prompts = run.tokenize([run.render(c, generation_prompt=True) for c in conversations])
        stops = stop_ids(run)
        with _measuring(model):
            return [self.answer(run, model, p.input_ids, sampling, stops) for p in prompts]

    def answer(
        self, run: Run, model: Any, prompt: Sequence[int], sampling: Sampling, stops: set[int]
    ) -> Answer:
        """Write until a stop token or ``max_new_tokens``."""
        import torch

        generator = None
        if sampling.seed is not None:
            generator = torch.Generator(run.device).manual_seed(sampling.seed)
        ids: list[int] = []
        log_probs: list[float] = []
        stream = Stream(run, sampling.stream)
        finished = False
        while not finished and len(ids) < sampling.max_new_tokens:
            seen = torch.tensor([[*prompt, *ids]], device=run.device)
            logits = model(input_ids=seen, use_cache=False).logits[0, -1].float()
            said = (logits / (sampling.temperature or 1.0)).log_softmax(-1)
            ids.append(choose(logits, seen[0], sampling, generator))
            log_probs.append(float(said[ids[-1]]))
            finished = ids[-1] in stops
            stream.put(ids[:-1] if finished else ids)
        text = run.tokenizer.decode(ids[:-1] if finished else ids)
        stream.end(text)
        found = log_probs if sampling.log_probs else None
        return Answer(text, ids, finished, run.parse_answer(text), found)


@contextmanager
def _measuring(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no graph; afterwards every module is as it was."""
    import torch

    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def stop_ids(run: Run) -> set[int]:
    """The ids that end a turn: the tokenizer's and the template's."""
    template = run.part("template")
    texts = template.stop if template is not None else ()
    encoded = [run.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    return {run.tokenizer.eos_token_id, *(ids[0] for ids in encoded if len(ids) == 1)} - {None}


def choose(logits: Tensor, seen: Tensor, sampling: Sampling, generator: Any) -> int:
    """The next id, from logits of shape (vocabulary,)."""
    import torch

    if sampling.repetition_penalty != 1:
        known = logits[seen]
        factor = sampling.repetition_penalty
        logits[seen] = torch.where(known > 0, known / factor, known * factor)
    if not sampling.temperature:
        return int(logits.argmax())
    sorted_logits, order = (logits / sampling.temperature).sort(descending=True)
    chances = sorted_logits.softmax(-1)
    if sampling.top_k:
        chances[sampling.top_k :] = 0
    chances[chances.cumsum(-1) - chances > sampling.top_p] = 0
    return int(order[torch.multinomial(chances, 1, generator=generator)])


class Stream:
    """Hands on what is new of a growing text."""

    def __init__(self, run: Run, hand_on: Callable[[str], None] | None):
        self._run, self._hand_on = run, hand_on
        self._told = 0

    def put(self, ids: Sequence[int]) -> None:
        if self._hand_on is not None:
            text = self._run.tokenizer.decode(ids)
            if not text.endswith("\ufffd"):  # bytes of a character that is not complete yet
                self.end(text)

    def end(self, text: str) -> None:
        if self._hand_on is not None and len(text) > self._told:
            self._hand_on(text[self._told :])
            self._told = len(text)


engine = StepByStep()
