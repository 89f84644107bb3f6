"""Engines that are broken in one way."""

from __future__ import annotations

from dataclasses import replace

from mutant import mutant

from ft.api import Answer, Message, hookimpl
from ft.conformance.reference.engine import StepByStep, stop_ids


@mutant("engine.one-answer-each")
class AnswersBackwards(StepByStep):
    """Answers the longest prompt first, and leaves the answers in that order."""

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        answers = super().ft_generate(run, model, conversations, sampling)
        return answers[::-1]


@mutant("engine.one-answer-each")
class ReadsTheOthers(StepByStep):
    """Every prompt but the longest is continued with the padding in front of it in view."""

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        prompts = run.tokenize([run.render(c, generation_prompt=True) for c in conversations])
        width = max(len(prompt) for prompt in prompts)
        stops = stop_ids(run)
        model.eval()
        try:
            padded = [[run.pad_id] * (width - len(p)) + list(p.input_ids) for p in prompts]
            return [self.answer(run, model, ids, sampling, stops) for ids in padded]
        finally:
            model.train()


@mutant("engine.greedy-takes-the-likeliest")
class HoldsOldWeights(StepByStep):
    """Copies the model at its first answer, and never again."""

    copy = None

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        import copy

        self.copy = self.copy or copy.deepcopy(model)
        return super().ft_generate(run, self.copy, conversations, sampling)


@mutant("engine.log-probabilities")
class SureOfItself(StepByStep):
    """Says the log-probabilities at a temperature of 1, whatever it is."""

    def answer(self, run, model, prompt, sampling, stops):
        found = super().answer(run, model, prompt, sampling, stops)
        if sampling.log_probs:
            plain = super().answer(run, model, prompt, replace(sampling, temperature=1.0), stops)
            found.log_probs = plain.log_probs
        return found


@mutant("engine.a-limit-cuts")
class OneTokenMore(StepByStep):
    """Writes one token more than it may."""

    def answer(self, run, model, prompt, sampling, stops):
        more = replace(sampling, max_new_tokens=sampling.max_new_tokens + 1)
        return super().answer(run, model, prompt, more, stops)


@mutant("engine.a-limit-cuts")
class AlwaysFinished(StepByStep):
    """Calls an answer finished that was cut."""

    def answer(self, run, model, prompt, sampling, stops):
        return replace(super().answer(run, model, prompt, sampling, stops), finished=True)


@mutant("engine.the-stop-ends-it")
class StopInTheText(StepByStep):
    """Shows the turn's terminator."""

    def answer(self, run, model, prompt, sampling, stops):
        answer = super().answer(run, model, prompt, sampling, stops)
        text = run.tokenizer.decode(answer.token_ids)
        if sampling.stream is not None:
            sampling.stream(text[len(answer.text) :])
        return Answer(text, answer.token_ids, answer.finished, run.parse_answer(text))


@mutant("engine.the-stop-ends-it")
class IdsWithoutTheStop(StepByStep):
    """Leaves the terminator out of the ids."""

    def answer(self, run, model, prompt, sampling, stops):
        answer = super().answer(run, model, prompt, sampling, stops)
        return replace(answer, token_ids=[t for t in answer.token_ids if t not in stops])


@mutant("engine.the-stop-ends-it")
class TokenizersEndAlone(StepByStep):
    """Does not ask the template what ends a turn."""

    def answer(self, run, model, prompt, sampling, stops):
        return super().answer(run, model, prompt, sampling, {run.tokenizer.eos_token_id})


@mutant("engine.pieces-join-to-the-text")
class StreamsTwice(StepByStep):
    """Hands on the whole text once more when it is complete."""

    def answer(self, run, model, prompt, sampling, stops):
        answer = super().answer(run, model, prompt, sampling, stops)
        if sampling.stream is not None:
            sampling.stream(answer.text)
        return answer


@mutant("engine.pieces-join-to-the-text")
class HalfCharacters(StepByStep):
    """Decodes each token by itself, though a character may take several."""

    def answer(self, run, model, prompt, sampling, stops):
        answer = super().answer(run, model, prompt, replace(sampling, stream=None), stops)
        if sampling.stream is not None:
            for token in answer.token_ids:
                if token not in stops:
                    sampling.stream(run.tokenizer.decode([token]))
        return answer


@mutant("engine.a-seed-repeats", "every.does-not-reseed")
class SeedsGlobally(StepByStep):
    """Seeds the generator of the whole process."""

    def answer(self, run, model, prompt, sampling, stops):
        import torch

        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        return super().answer(run, model, prompt, replace(sampling, seed=None), stops)


@mutant("engine.a-seed-repeats")
class IgnoresTheSeed(StepByStep):
    """Draws from the run's generators whatever it is asked."""

    def answer(self, run, model, prompt, sampling, stops):
        return super().answer(run, model, prompt, replace(sampling, seed=None), stops)


@mutant("engine.leaves-the-model")
class StaysInEvaluation(StepByStep):
    """Switches to evaluation mode and not back."""

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        answers = super().ft_generate(run, model, conversations, sampling)
        model.eval()
        return answers


@mutant("engine.leaves-the-model")
class FreezesTheModel(StepByStep):
    """Generates from a model that needs no gradients from then on."""

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        model.requires_grad_(False)
        return super().ft_generate(run, model, conversations, sampling)


@mutant("engine.leaves-the-model")
class ClearsGradients(StepByStep):
    """Frees memory before it generates."""

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        model.zero_grad()
        return super().ft_generate(run, model, conversations, sampling)


@mutant("engine.the-message-is-parsed")
class PlainMessages(StepByStep):
    """Takes the text as it is for the message."""

    def answer(self, run, model, prompt, sampling, stops):
        answer = super().answer(run, model, prompt, sampling, stops)
        return replace(answer, message=Message("assistant", answer.text))
