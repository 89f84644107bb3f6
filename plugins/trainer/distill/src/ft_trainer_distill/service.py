"""A teacher behind a completions API that says the likeliest tokens of a prompt.

``POST <address>/completions`` with the ids of a row as ``prompt`` and ``prompt_logprobs`` as vLLM's
server understands them: the response has, for each token but the first, a mapping from token ids
to ``{"logprob": …}``.
"""

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

from ft.api import Encoded, Field, InputError, PluginOptions, RunError
from ft_trainer_distill.rows import Top


class Service(PluginOptions):
    """Where a teacher is served, and how it is asked."""

    url: str = Field(description="address of the API, such as http://host:8000/v1")
    model: str = Field(description="name of the teacher there")
    top: int = Field(20, gt=0, description="likeliest tokens that are asked for")
    connections: int = Field(8, gt=0, description="requests under way at the same time")
    timeout: float = Field(120.0, gt=0, description="seconds for one request")
    retries: int = Field(3, ge=0, description="how often a request that failed is sent again")
    pause: float = Field(1.0, ge=0, description="seconds before the first retry; then doubled")
    key_variable: str | None = Field(
        None, description="environment variable with a key, sent as Authorization: Bearer"
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("wanted is an address that begins with http:// or https://")
        return value.rstrip("/")


def ask_all(service: Service, rows: Sequence[Encoded]) -> list[Top]:
    """What the teacher says at each trained token of each row."""
    with ThreadPoolExecutor(service.connections) as pool:
        return list(pool.map(lambda row: _ask(service, row), rows))


def _ask(service: Service, row: Encoded) -> Top:
    said = _post(
        service,
        {
            "model": service.model,
            "prompt": list(row.input_ids),
            "prompt_logprobs": service.top,
            "max_tokens": 1,
            "temperature": 0,
        },
    )
    try:
        places = said["choices"][0]["prompt_logprobs"]
        return [
            _likeliest(places[place], service.top)
            for place, weight in enumerate(row.weights)
            if place and weight > 0
        ]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise RunError(
            "the response has no prompt_logprobs for each token of the prompt",
            where=service.url,
            hint="the server has to know prompt_logprobs, as vLLM's does",
        ) from error


def _likeliest(place: Mapping[str, Any], top: int) -> list[tuple[int, float]]:
    """The likeliest tokens at a place; the prompt's own may be among them as one more."""
    found = [(int(token), float(entry["logprob"])) for token, entry in place.items()]
    return sorted(found, key=lambda pair: -pair[1])[:top]


def _post(service: Service, body: Mapping[str, Any]) -> Any:
    """The response to a request, which is sent again where it fails for a while."""
    headers = {"Content-Type": "application/json"}
    if service.key_variable is not None:
        key = os.environ.get(service.key_variable)
        if not key:
            raise InputError(
                f"the environment variable {service.key_variable} is not set",
                where="trainer.service.key_variable",
            )
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{service.url}/completions", json.dumps(body).encode(), headers
    )
    problem = ""
    for attempt in range(service.retries + 1):
        if attempt:
            time.sleep(service.pause * 2 ** (attempt - 1))
        try:
            with urllib.request.urlopen(request, timeout=service.timeout) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            problem = (
                f"answers with status {error.code}: {error.read(200).decode(errors='replace')}"
            )
            if error.code < 500:
                break
        except (OSError, ValueError) as error:
            problem = f"cannot be asked: {error}"
    raise RunError(f"the teacher {problem}", where=service.url, hint="is the server running?")
