"""What the benchmarks share: timing a process, describing the machine, keeping results."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("ft-core", "torch", "transformers", "tokenizers", "trl", "peft", "click")


def parser(description: str | None) -> argparse.ArgumentParser:
    """A command line with ``--record``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--record", action="store_true", help="write the table to RESULTS.md")
    return made


def fastest(
    command: Sequence[str], repeats: int, environment: Mapping[str, str] | None = None
) -> float:
    """Seconds of the fastest of several runs of a command: the least disturbed one."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return min(times)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(title: str, text: str, record: bool) -> None:
    """Print a result and, where asked to, put it in the place of the former one."""
    print(f"\n## {title}\n\n{text}\n", flush=True)
    if not record:
        return
    section = f"## {title}\n\n{machine()}\n\n{text}\n"
    old = RESULTS.read_text(encoding="utf-8")
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: section + "\n", old)
    else:
        new = f"{old.rstrip()}\n\n{section}"
    RESULTS.write_text(new.rstrip() + "\n", encoding="utf-8")


def machine() -> str:
    """Date, hardware, load and versions, in one paragraph."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} before it; OMP_NUM_THREADS="
        f"{os.environ.get('OMP_NUM_THREADS', 'unset')}; "
        f"Python {platform.python_version()}, {versions}."
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def leave(failures: Sequence[str]) -> None:
    """Print which budgets are exceeded, and end the program."""
    for failure in failures:
        print(f"over budget: {failure}", file=sys.stderr)
    sys.exit(bool(failures))
