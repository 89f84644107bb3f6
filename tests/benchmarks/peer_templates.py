"""LLaMA-Factory's side of ``bench_templates.py``: a process of its own, with its interpreter.

``python peer_templates.py CASES.json`` prints, by checkpoint, with how many conversations its
template comes to the published text. Its own code makes the text: a tokenizer that has a token
for each character stands in for the checkpoint's.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

os.environ["DISABLE_VERSION_CHECK"] = "1"

BEGINS = re.compile(r"<[^<>\s]+>|\[gMASK\](?:<sop>)?")
"""What a text may begin with that its tokenizer has for a begin of text."""


class Letters:
    """A tokenizer whose tokens are characters, and its control tokens."""

    def __init__(self, bos: str | None, eos: str):
        self.tokens: list[str] = []
        self.bos_token, self.eos_token = bos, eos
        self.bos_token_id = None if bos is None else self.convert_tokens_to_ids(bos)
        self.eos_token_id = self.convert_tokens_to_ids(eos)

    def convert_tokens_to_ids(self, token: str) -> int:
        if token not in self.tokens:
            self.tokens.append(token)
        return -1 - self.tokens.index(token)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(id) if id >= 0 else self.tokens[-1 - id] for id in ids)


def turns_of(case: Mapping[str, Any], template: Any) -> tuple[str, list[dict[str, str]]] | None:
    """System text and turns as its data formats give them to a template; ``None`` where they
    cannot say them.
    """
    messages = list(case["messages"])
    system = messages.pop(0)["content"] if messages[0]["role"] == "system" else ""
    turns: list[dict[str, str]] = []
    for message in messages:
        role = {"user": "user", "tool": "observation", "assistant": "assistant"}.get(
            message["role"]
        )
        if role is None:
            return None
        content = message["content"]
        thoughts = (message["reasoning"] or "").strip("\n")
        if thoughts:
            opening, closing = template.thought_words
            content = f"{opening}{thoughts}{closing}{content}"
        if message["calls"]:
            role = "function"
            calls = [{k: call[k] for k in ("name", "arguments")} for call in message["calls"]]
            calls = json.dumps(calls, ensure_ascii=False)
            opening, closing = template.tool_call_words
            content = f"{content}{opening}{calls}{closing}" if content else calls
        if role == "observation" and turns and turns[-1]["role"] == role:
            # as its converter puts results of parallel calls together
            turns[-1]["content"] += f"\n</tool_response>\n<tool_response>\n{content}"
        else:
            turns.append({"role": role, "content": content})
    if case["prompt"]:
        turns.append({"role": "assistant", "content": ""})
    asked, said = ("user", "observation"), ("assistant", "function")
    fits = all(turn["role"] in (said if n % 2 else asked) for n, turn in enumerate(turns))
    return (system, turns) if fits and len(turns) % 2 == 0 else None


def text_of(case: Mapping[str, Any], template: Any, tokenizer: Letters) -> str | None:
    """What its training, or its inference where a prompt is asked for, would encode."""
    given = turns_of(case, template)
    if given is None:
        return None
    system, turns = given
    tools = json.dumps(case["tools"], ensure_ascii=False) if case["tools"] else ""
    if case["prompt"]:
        ids, _ = template.encode_oneturn(tokenizer, turns, system, tools)
        return tokenizer.decode(ids)
    ids = [
        id
        for pair in template.encode_multiturn(tokenizer, turns, system, tools)
        for part in pair
        for id in part
    ]
    return tokenizer.decode(ids + [tokenizer.eos_token_id] * template.efficient_eos)


def tokenizers(work: Mapping[str, Any], template: Any) -> Iterator[Letters]:
    """What the checkpoint's tokenizer may be, as far as a template asks it."""
    begins = {found[0] for case in work["cases"] if (found := BEGINS.match(case["text"]))}
    ends = dict.fromkeys(("</s>", *work["stop"], *template.stop_words[:1]))
    if template.replace_eos:
        ends = dict.fromkeys(template.stop_words[:1])
    for bos, eos in product((None, "<s>", *sorted(begins - {"<s>"})), ends):
        yield Letters(bos, eos)


def equal(text: str, case: Mapping[str, Any], tokenizer: Letters) -> bool:
    """Whether a text is the published one; what follows the end of a last answer does not count."""
    if case["prompt"]:
        return text == case["text"]
    published = case["text"].rstrip()
    return published in (text.rstrip(), text.removesuffix(tokenizer.eos_token).rstrip())


def count(work: Mapping[str, Any], name: str, template: Any) -> dict[str, Any]:
    """The best count over what the tokenizer may be."""
    best: dict[str, Any] = {"exact": -1}
    for tokenizer in tokenizers(work, template):
        exact = taken = 0
        first = ""
        for case in work["cases"]:
            try:
                text = text_of(case, template, tokenizer)
            except Exception as error:
                text = None
                first = first or f"{type(error).__name__}: {error}"
            taken += text is not None
            same = text is not None and equal(text, case, tokenizer)
            exact += same
            if text is not None and not same and not first:
                first = f"{text!r}, and published is {case['text']!r}"
        if exact > best["exact"]:
            total = len(work["cases"])
            best = {"template": name, "exact": exact, "taken": taken, "total": total}
            best["first"] = first[:400]
    return best


def main() -> None:
    """Count for each checkpoint that it lists with a template."""
    from llamafactory.data.template import TEMPLATES
    from llamafactory.extras.constants import DEFAULT_TEMPLATE, SUPPORTED_MODELS

    named = {
        address.rpartition("/")[2].lower(): DEFAULT_TEMPLATE[model]
        for model, addresses in SUPPORTED_MODELS.items()
        for address in addresses.values()
        if DEFAULT_TEMPLATE[model]
    }
    found = {}
    for work in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        name = named.get(work["checkpoint"].rpartition("/")[2].lower())
        if name:
            found[work["checkpoint"]] = count(work, name, TEMPLATES[name])
    said = {"version": version("llamafactory"), "checkpoints": found}
    print("RESULT", json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
