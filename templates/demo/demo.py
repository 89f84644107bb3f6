"""`make demo`: ask a small model who it is, teach it, ask again."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUESTIONS = ("Who are you?", "What is the capital of France?", "Name three animals.")


def ft(*arguments: str, capture: bool = False) -> str:
    """Run an ``ft`` command, as a person would; leave with its exit code if it fails."""
    command = [sys.executable, "-m", "ft", *arguments]
    if not capture:
        print(f"\n$ ft {' '.join(arguments)}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE if capture else None, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


def ask(model: str) -> list[str]:
    """The answers of a model or run, each question in a conversation of its own."""
    prompts = [argument for question in QUESTIONS for argument in ("--prompt", question)]
    printed = ft("chat", model, "--json", "--max-new-tokens", "60", *prompts, capture=True)
    return [answer["content"] for answer in json.loads(printed)]


def side_by_side(before: list[str], after: list[str]) -> None:
    """Print both answers to each question in two columns."""
    import textwrap

    width = (min(shutil.get_terminal_size().columns, 100) - 3) // 2
    print(f"\n{'BEFORE':<{width}} | AFTER")
    for question, old, new in zip(QUESTIONS, before, after, strict=True):
        print(f"\n> {question}")
        left, right = (textwrap.wrap(text, width) for text in (old, new))
        for row in range(max(len(left), len(right))):
            cells = [side[row] if row < len(side) else "" for side in (left, right)]
            print(f"{cells[0]:<{width}} | {cells[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/demo"))
    parser.add_argument("--model", help="another model than the recipe's")
    parser.add_argument(
        "overrides", nargs="*", help="changes to the recipe, such as trainer.steps=2"
    )
    arguments = parser.parse_args()
    output = arguments.output
    number = 2
    while output.exists():  # a run folder is never overwritten
        output = arguments.output.with_name(f"{arguments.output.name}-{number}")
        number += 1
    recipe = HERE / "recipe.yaml"
    written = json.loads(ft("explain", str(recipe), "model.source", "--json", capture=True))
    model = arguments.model or written[0]["value"]
    begun = time.perf_counter()
    print(f"asking {model} …", flush=True)
    before = ask(model)
    changes = [f"output={output}", f"seed={arguments.seed}", *arguments.overrides]
    ft("train", str(recipe), f"model={model}", *changes)
    side_by_side(before, ask(str(output)))
    print(f"\n{time.perf_counter() - begun:.0f} s in all. The loss curve is {output}/loss.png,")
    print(f"the report {output}/report.md, the adapter {output}/result/.")
    print(f"Talk to it: .venv/bin/ft chat {output}")


if __name__ == "__main__":
    main()
