"""Rewards from a service over HTTP."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import field_validator

from ft.api import Conversation, Field, InputError, Reward, RewardOptions, Run, hookimpl


class HttpOptions(RewardOptions):
    url: str = Field(description="where answers are posted: http://host/path, or https")
    batch_size: int = Field(16, gt=0, description="answers in one request")
    connections: int = Field(4, gt=0, description="requests under way at the same time")
    timeout: float = Field(30.0, gt=0, description="seconds for one request")
    retries: int = Field(2, ge=0, description="how often a request that failed is sent again")
    pause: float = Field(1.0, ge=0, description="seconds before the first retry; then doubled")
    key_variable: str | None = Field(
        None, description="environment variable with a key, sent as Authorization: Bearer"
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("wanted is an address that begins with http:// or https://")
        return value


class HttpReward(Reward):
    """Posts answers to a service and takes the scores that it returns.

    A request is ``{"answers": [{"messages": […], "row": {…}}, …]}``: the conversation in
    OpenAI's form with the answer as its last message, and the columns of the prompt's row. The
    response is ``{"scores": [0.5, null, …]}``: a number for each answer, in their order, or null.
    A request that times out or fails is sent again; after that its answers have no score, which
    is told, and the run goes on. One that the service refuses (4xx) is not sent again.
    """

    Options = HttpOptions
    samples = ({"url": "http://127.0.0.1:9/score", "retries": 0},)

    told = False

    @hookimpl
    def ft_start_process(self) -> None:
        variable = self.options.key_variable
        if variable is not None and not os.environ.get(variable):
            raise InputError(
                f"the environment variable {variable} is not set",
                where="rewards.http.key_variable",
                hint="set it to the key of the service, or leave key_variable out",
            )

    @hookimpl
    def ft_score(
        self,
        run: Run,
        conversations: Sequence[Conversation],
        extras: Sequence[Mapping[str, Any]],
    ) -> list[float | None]:
        answers = [
            {
                "messages": [message.as_template_input() for message in conversation.messages],
                "row": dict(extra),
            }
            for conversation, extra in zip(conversations, extras, strict=True)
        ]
        size = self.options.batch_size
        batches = [answers[start : start + size] for start in range(0, len(answers), size)]
        with ThreadPoolExecutor(self.options.connections) as pool:
            found = list(pool.map(self._ask, batches))
        problems = [problem for _, problem in found if problem]
        if problems and not self.told:
            self.told = True
            run.progress.warn(
                f"{self!r}: {self.options.url} {problems[0]}; such answers are left out"
            )
        return [score for scores, _ in found for score in scores]

    def _ask(self, answers: Sequence[Mapping[str, Any]]) -> tuple[list[float | None], str]:
        """The scores of a batch, or ``None`` for each and what went wrong."""
        options = self.options
        body = json.dumps({"answers": answers}, default=str).encode()
        headers = {"Content-Type": "application/json"}
        if options.key_variable is not None:
            headers["Authorization"] = f"Bearer {os.environ[options.key_variable]}"
        problem = ""
        for attempt in range(options.retries + 1):
            if attempt:
                time.sleep(options.pause * 2 ** (attempt - 1))
            request = urllib.request.Request(options.url, body, headers)
            try:
                with urllib.request.urlopen(request, timeout=options.timeout) as response:
                    return _read(response.read(), len(answers)), ""
            except urllib.error.HTTPError as error:
                problem = f"answers with status {error.code}"
                if error.code < 500:
                    break
            except (OSError, ValueError) as error:
                problem = f"cannot be used: {error}"
        return [None] * len(answers), problem


def _read(body: bytes, count: int) -> list[float | None]:
    """The scores in a response. Raises ``ValueError`` where it is no good."""
    try:
        scores = json.loads(body)["scores"]
        found = [None if score is None else float(score) for score in scores]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError('the response has no list of numbers under "scores"') from error
    if len(found) != count:
        raise ValueError(f"the response has {len(found)} scores for {count} answers")
    return found


reward = HttpReward()
