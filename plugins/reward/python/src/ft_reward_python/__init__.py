"""Rewards from a function of one's own."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.api import (
    Conversation,
    Field,
    InputError,
    RecipePath,
    Reward,
    RewardOptions,
    Run,
    hookimpl,
    time_limit,
)

ARGUMENTS = ("answer", "messages", "row")
EXAMPLE = Path(__file__).parent / "example.py"


class PythonReward(Reward):
    """Scores each answer with a function from a file.

    The function has any of these arguments, by name: ``answer``, the text of the answer;
    ``messages``, the whole conversation in OpenAI's form; ``row``, the columns of the prompt's
    row. It returns a number, higher for a better answer, or ``None`` where it cannot say::

        def brevity(answer, row):
            return min(1.0, row["words"] / len(answer.split()))

    A call that raises or takes too long counts as ``None``: the answer is left out, how many
    there are is told at each step, and the first error in full. The file is imported once, as
    the run starts.
    """

    class Options(RewardOptions):
        file: RecipePath = Field(description="the Python file")
        function: str = Field("reward", description="name of the function in it")
        timeout: float | None = Field(10.0, gt=0, description="seconds for one answer")

    samples = ({"file": str(EXAMPLE), "function": "brevity"},)

    score: Callable[..., Any]
    wanted: Sequence[str]
    told = False

    @hookimpl
    def ft_start_process(self, run: Run) -> None:
        self.score = self._function()
        parameters = inspect.signature(self.score).parameters.values()
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
        named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        required = [p.name for p in parameters if p.name in named and p.default is p.empty]
        if unknown := sorted(set(required) - set(ARGUMENTS)):
            raise InputError(
                f"{self.options.function} asks for {unknown[0]}, which there is not",
                where=str(self.options.file),
                hint=f"its arguments are any of {', '.join(ARGUMENTS)}",
            )
        self.wanted = [name for name in ARGUMENTS if anything or name in named]

    @hookimpl
    def ft_score(
        self,
        run: Run,
        conversations: Sequence[Conversation],
        extras: Sequence[Mapping[str, Any]],
    ) -> list[float | None]:
        return [
            self._one(run, conversation, extra)
            for conversation, extra in zip(conversations, extras, strict=True)
        ]

    def _one(self, run: Run, conversation: Conversation, extra: Mapping[str, Any]) -> float | None:
        given = {
            "answer": conversation.messages[-1].text,
            "messages": [message.as_template_input() for message in conversation.messages],
            "row": dict(extra),
        }
        try:
            with time_limit(self.options.timeout):
                found = self.score(**{name: given[name] for name in self.wanted})
                return None if found is None else float(found)
        except Exception as error:
            if not self.told:
                self.told = True
                place = inspect.trace()[-1]
                run.progress.warn(
                    f"{self!r}: {self.options.function} raised {type(error).__name__} "
                    f"({error}) at {Path(place.filename).name}:{place.lineno}; such answers are "
                    "left out"
                )
            return None

    def _function(self) -> Callable[..., Any]:
        file, name = self.options.file, self.options.function
        if not file.is_file():
            raise InputError("there is no such file", where=str(file))
        spec = importlib.util.spec_from_file_location(f"ft_reward_{file.stem}", file)
        if spec is None or spec.loader is None:
            raise InputError("is no Python file", where=str(file), hint="its name ends with .py")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            line = error.lineno if isinstance(error, SyntaxError) else inspect.trace()[-1].lineno
            raise InputError(f"{type(error).__name__}: {error}", where=f"{file}:{line}") from error
        function = getattr(module, name, None)
        if not callable(function):
            own = [
                n
                for n, value in vars(module).items()
                if inspect.isfunction(value) and value.__module__ == module.__name__
            ]
            raise InputError(
                f"there is no function {name}",
                where=str(file),
                hint=f"it has {', '.join(own)}" if own else "it has no function at all",
            )
        return function


reward = PythonReward()
