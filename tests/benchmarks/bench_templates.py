"""How many conversations are written as the published template writes them, beside LLaMA-Factory.

Counts, for each chat format of ft, the kit's conversations whose text equals the published one
byte for byte (``ft.conformance.equality``), and those that LLaMA-Factory writes so with the
template that it names for the same checkpoint. ``--record`` writes the latter beside this script
too, for ``docs/templates.md``. With ``--mistral-python`` the encoder that Mistral AI publishes for
its models is compared with the same texts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import measure

from ft.api import Template
from ft.conformance.equality import Case, cases, equality, formats

PEER = Path(__file__).with_name("peer_templates.py")
VENDOR = Path(__file__).with_name("peer_mistral.py")
TOKENIZERS = {
    "mistral": "tokenizer.model.v1",
    "mistral-v3": "mistral_instruct_tokenizer_240323.model.v3",
    "codestral": "mistral_instruct_tokenizer_240323.model.v3",
    "mistral-nemo": "tekken_240718.json",
    "mistral-large-2411": "mistral_instruct_tokenizer_241114.model.v7",
}
"""Formats whose tokenizers mistral-common brings, without a default system text of their own."""
RECORD = Path(__file__).with_name("llamafactory-templates.json")


def as_json(case: Case) -> dict[str, Any]:
    """A case for the other side."""
    return {
        "messages": [
            {
                "role": message.role,
                "content": message.content,
                "reasoning": message.reasoning,
                "name": message.name,
                "id": message.tool_call_id,
                "calls": [
                    {"id": call.id, "name": call.name, "arguments": call.arguments}
                    for call in message.tool_calls
                ],
            }
            for message in case.conversation.messages
        ],
        "tools": list(case.conversation.tools),
        "prompt": case.prompt,
        "text": case.text,
    }


def beside(python: str, found: Mapping[str, Template]) -> dict[str, Any]:
    """LLaMA-Factory's version and counts by checkpoint; one that it does not list is left out."""
    work = [
        {
            "checkpoint": checkpoint,
            # what the checkpoint's tokenizer may have for its end of text
            "stop": list(template.stop),
            "cases": [as_json(case) for case in cases(template, checkpoint)],
        }
        for template in found.values()
        for checkpoint in template.published
    ]
    return ask(python, PEER, work)


def vendor(python: str, found: Mapping[str, Template]) -> list[list[str]]:
    """A line for each format that mistral-common knows."""
    work = [
        {
            "format": name,
            "tokenizer": TOKENIZERS[name],
            "cases": [as_json(case) for case in cases(template, template.published[0])],
        }
        for name, template in found.items()
        if name in TOKENIZERS
    ]
    said = ask(python, VENDOR, work)
    for name, one in said["formats"].items():
        print(f"{name}: {one['first']}")
    return [
        [name, share(one["exact"], one["taken"]), str(one["total"])]
        for name, one in said["formats"].items()
    ]


def ask(python: str, script: Path, work: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a script says of this work, run with an interpreter of its own."""
    with tempfile.TemporaryDirectory() as name:
        given = Path(name) / "cases.json"
        given.write_text(json.dumps(work), encoding="utf-8")
        done = subprocess.run(
            [python, str(script), str(given)], capture_output=True, text=True, check=False
        )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    sys.exit(f"{script.name} failed:\n{done.stderr[-2000:]}")


def rows(found: Mapping[str, Template], peer: Mapping[str, Any]) -> list[list[str]]:
    """The sums: of all formats, and of those that both have."""
    counts = [(one, peer.get(one.checkpoint)) for t in found.values() for one in equality(t)]
    both = [(one, other) for one, other in counts if other]
    every = [
        "ft",
        str(len(counts)),
        share(sum(one.exact for one, _ in counts), sum(one.total for one, _ in counts)),
        "",
        str(sum(one.exact == one.total for one, _ in counts)),
    ]
    if not both:
        return [every]
    total = sum(one.total for one, _ in both)
    taken = sum(other["taken"] for _, other in both)
    exact = sum(other["exact"] for _, other in both)
    return [
        every,
        [
            "ft, of what LLaMA-Factory lists",
            str(len(both)),
            share(sum(one.exact for one, _ in both), total),
            "",
            str(sum(one.exact == one.total for one, _ in both)),
        ],
        [
            "LLaMA-Factory",
            str(len(both)),
            share(exact, total),
            share(exact, taken),
            str(sum(other["exact"] == other["taken"] for _, other in both)),
        ],
    ]


def share(exact: int, total: int) -> str:
    """``3 of 4 (75 %)``."""
    return f"{exact:,} of {total:,} ({exact / max(total, 1):.1%})"


def failures(found: Mapping[str, Template]) -> list[str]:
    """Formats of ft that write a conversation otherwise."""
    return [
        f"{name} writes {one.total - one.exact} conversations otherwise than {one.checkpoint}"
        for name, template in found.items()
        for one in equality(template)
        if one.exact < one.total
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Count both sides; fail where one of ft's formats is not the published one."""
    parser: argparse.ArgumentParser = measure.parser(__doc__)
    parser.add_argument("--llamafactory-python", help="one that can import llamafactory")
    parser.add_argument("--mistral-python", help="one that can import mistral_common")
    parser.add_argument("--only", nargs="*", default=[], help="names of formats")
    chosen = parser.parse_args(argv)
    found = formats(chosen.only)
    said = beside(chosen.llamafactory_python, found) if chosen.llamafactory_python else {}
    peer = said.get("checkpoints", {})
    for checkpoint, one in sorted(peer.items()):
        print(
            f"{checkpoint}: {one['template']}: {one['exact']} of {one['taken']} of {one['total']}"
        )
        if first := one.pop("first"):
            print(f"    {first}")
    if peer and chosen.record and not chosen.only:
        RECORD.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    head = [
        "",
        "templates",
        "equal conversations",
        "of those that it takes",
        "templates without a fault",
    ]
    text = (
        "The kit's conversations, as far as a format has a place for them, written as the "
        "published template writes them, byte for byte: trained text where the last turn is an "
        "answer, else the prompt. LLaMA-Factory gets the template that it names for the "
        "checkpoint, and of the candidates for the tokenizer's begin and end of text those with "
        "which it does best; what follows the end of a last answer is not held against it. What "
        "it takes is what its data formats can say: roles that alternate, one system text at the "
        "start.\n\n"
    )
    text += measure.table(head, rows(found, peer))
    if chosen.mistral_python:
        head = ["format", "equal, of those that it takes", "conversations"]
        text += (
            "\n\nmistral-common, the encoder that Mistral AI publishes, beside the published "
            "templates. Where it differs, it puts messages of one role together, fills in an "
            "empty description of a tool, or leaves the spaces around an answer.\n\n"
        ) + measure.table(head, vendor(chosen.mistral_python, found))
    measure.report("Chat templates", text, chosen.record)
    measure.leave(failures(found))


if __name__ == "__main__":
    main()
