"""mistral-common's side of ``bench_templates.py``: a process of its own, with its interpreter.

``python peer_mistral.py CASES.json`` prints, by format, how many conversations the vendor's own
encoder writes as they stand there. Its texts show the pieces of a tokenizer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

BYTES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")


def request_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation in the form of the vendor's interface."""
    messages = []
    for message in case["messages"]:
        given = {"role": message["role"], "content": message["content"]}
        if message["calls"]:
            given["tool_calls"] = [
                {
                    "id": call["id"] or "null",
                    "type": "function",
                    "function": {
                        "name": call["name"],
                        "arguments": json.dumps(call["arguments"], ensure_ascii=False),
                    },
                }
                for call in message["calls"]
            ]
        if message["role"] == "tool":
            given |= {"tool_call_id": message["id"] or "null", "name": message["name"]}
        messages.append(given)
    return {"messages": messages, "tools": case["tools"] or None}


def plain(text: str) -> str:
    """Text without the marks of a tokenizer's pieces."""

    def decoded(found: re.Match[str]) -> str:
        return bytes.fromhex(found[0].replace("<0x", "").replace(">", "")).decode(errors="replace")

    return BYTES.sub(decoded, text).replace("▁", " ")


def count(work: Mapping[str, Any], encoders: Mapping[bool, Callable[..., Any]]) -> dict[str, Any]:
    """How many conversations are equal, of those that the encoder takes."""
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    exact = taken = 0
    first = ""
    for case in work["cases"]:
        try:
            request = ChatCompletionRequest(**request_of(case))
            text = plain(encoders[case["prompt"]](request).text)
        except Exception:  # it refuses what is no conversation to it
            continue
        taken += 1
        exact += text == case["text"]
        if text != case["text"] and not first:
            first = f"{text!r}, and published is {case['text']!r}"
    total = len(work["cases"])
    return {"exact": exact, "taken": taken, "total": total, "first": first[:400]}


def main() -> None:
    """Count for each format that it is given, with the tokenizer that is named there."""
    from mistral_common.protocol.instruct.validator import ValidationMode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    data = resources.files("mistral_common") / "data"
    found = {}
    for work in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        file = str(data / work["tokenizer"])
        encoders = {
            prompt: MistralTokenizer.from_file(file, mode=mode).encode_chat_completion
            for prompt, mode in ((True, ValidationMode.test), (False, ValidationMode.finetuning))
        }
        found[work["format"]] = count(work, encoders)
    print("RESULT", json.dumps({"version": version("mistral-common"), "formats": found}))


if __name__ == "__main__":
    main()
