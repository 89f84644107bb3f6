"""Measure a table of runs, each in a fresh process, and print it with ratios.

``run_all.py --wheels FOLDER --data FOLDER --out FOLDER [--only PATTERN]``: makes the
checkpoints that the chosen runs need, installs the wheels of each stack into a folder of its
own, and runs what ``table.toml`` lists. ``results.json`` and ``log.txt`` in ``--out`` are
written after each run, so that what was measured outlives a stop.

Only ratios of one run of this script compare: machine, date and versions stand above the table.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import work

HERE = Path(__file__).parent
PIP = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--table", type=Path, default=HERE / "table.toml")
    add("--wheels", type=Path, help="its folders are named in the table; unset: as installed")
    add("--data", type=Path, required=True, help="folder of the rows and the tokenizer")
    add("--out", type=Path, required=True, help="where results.json and log.txt go")
    add("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "ft-benchmarks")
    add("--only", default="", help="pattern over 'work stack label'; as `ft|unsloth pack`")
    add("--limit", type=float, default=150, help="seconds that one run may take")
    add("--budget", type=float, default=3600, help="seconds after which no run starts")
    add("--list", action="store_true", help="list the runs that would be made")
    return parser.parse_args()


def chosen_runs(table: dict[str, Any], pattern: str) -> Iterator[dict[str, Any]]:
    """The runs whose ``work stack label`` the pattern finds; ``work`` may be several."""
    for run in table["runs"]:
        for name in [run["work"]] if isinstance(run["work"], str) else run["work"]:
            if re.search(pattern, f"{name} {run['stack']} {run['label']}"):
                yield {**run, "work": name}


def install(stack: str, table: dict[str, Any], chosen: argparse.Namespace) -> None:
    """Install a stack's wheels into a folder of its own, once."""
    site = chosen.scratch / "sites" / stack
    if site.exists():
        return
    wheels: list[str] = []
    for folder in table["stacks"][stack]["wheels"]:
        found = sorted((chosen.wheels / folder).glob("*.whl"))
        if not found:
            sys.exit(f"no wheels in {chosen.wheels / folder}, which {stack} needs")
        wheels += map(str, found)
    subprocess.run([sys.executable, *PIP, "--target", str(site), *wheels], check=True)


def environment(stack: str, table: dict[str, Any], chosen: argparse.Namespace) -> dict[str, str]:
    """The environment of a stack's processes: nothing is fetched, no cache is shared."""
    made = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    own = {
        "PYTHONPATH": str(chosen.scratch / "sites" / stack),
        **table["stacks"][stack].get("environment", {}),
    }
    for name, value in own.items():
        value = value.replace("{wheels}", str((chosen.wheels or Path()).absolute()))
        # what the machine has on a path stays behind it
        made[name] = os.pathsep.join(filter(None, [value, made.get(name)]))
    return made | {
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(chosen.scratch / "home" / stack),
    }


def measure(
    run: dict[str, Any], table: dict[str, Any], chosen: argparse.Namespace
) -> tuple[dict[str, Any], str]:
    """One run of the table: its result with what was asked for, and all that it printed."""
    stack = table["stacks"][run["stack"]]
    asked = dict(table["works"][run["work"]])
    job = {
        **asked,
        "model": str(chosen.scratch / "models" / asked["model"]),
        "data": str(chosen.data.absolute()),
        "scratch": str(chosen.scratch / "run"),
        "settings": run.get("settings", {}),
    }
    variables = environment(run["stack"], table, chosen)
    result, text = work.launch(sys.executable, HERE / stack["script"], job, variables, chosen.limit)
    return {**run, **result}, text


def machine() -> str:
    """Date, device, driver and Python, in one line."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        device = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        device = "no GPU"
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    return f"{today}; {device}; {os.cpu_count()} CPU cores; Python {sys.version.split()[0]}"


def markdown(results: list[dict[str, Any]]) -> str:
    """A table for each work, and the versions of each stack."""
    works: dict[str, list[dict[str, Any]]] = {}
    versions: dict[str, dict[str, str]] = {}
    for result in results:
        works.setdefault(result["work"], []).append(result)
        versions[result["stack"]] = result.get("versions") or versions.get(result["stack"], {})
    tables = [f"### {name}\n\n{compared(rows)}\n" for name, rows in works.items()]
    lines = [f"{stack}: {', '.join(map(' '.join, v.items()))}" for stack, v in versions.items()]
    return "\n".join(tables + lines)


def compared(rows: list[dict[str, Any]]) -> str:
    """Speed and memory of the runs of one work, with ratios to the fastest run of each peer."""
    best: dict[str, float] = {}
    for row in rows:
        if row["stack"] != "ft" and "error" not in row:
            best[row["stack"]] = max(best.get(row["stack"], 0), row["tokens_per_second"])
    head = ["stack", "settings", "trainable", "tokens/s", "peak GB", "s/step", "first step", "loss"]
    head += [f"times {peer}'s best" for peer in best]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [row["stack"], row["label"] + (f" ({row['note']})" if "note" in row else "")]
        if "error" in row:
            cells += [f"failed: {' '.join(row['error'].split())[:80]}"]
        else:
            cells += [
                f"{row['trainable'] / 1e6:,.1f} M",
                f"{row['tokens_per_second']:,.0f}",
                f"{row.get('peak_gb', 0):.1f}",
                f"{row['seconds_per_step']:.3f}",
                f"{row['first_step']:.0f} s",
                f"{row['losses'][0]:.2f} → {row['losses'][-1]:.2f}",
                *(f"{row['tokens_per_second'] / speed:.2f}" for speed in best.values()),
            ]
        lines.append(cells + [""] * (len(head) - len(cells)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run what is chosen and print the table; leaves with 1 where a run failed."""
    chosen = arguments()
    table = tomllib.loads(chosen.table.read_text(encoding="utf-8"))
    runs = list(chosen_runs(table, chosen.only))
    if chosen.list or not runs:
        for run in runs:
            print(run["work"], run["stack"], run["label"])
        sys.exit(not runs)
    started = time.perf_counter()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "log.txt").unlink(missing_ok=True)
    sizes = list(dict.fromkeys(table["works"][run["work"]]["model"] for run in runs))
    if chosen.wheels:
        for stack in dict.fromkeys(run["stack"] for run in runs):
            install(stack, table, chosen)
    make = [sys.executable, str(HERE / "make_model.py"), str(chosen.scratch / "models"), *sizes]
    subprocess.run([*make, "--tokenizer", str(chosen.data)], check=True)
    results: list[dict[str, Any]] = []
    for run in runs:
        name = f"{run['work']} {run['stack']} {run['label']}"
        if time.perf_counter() - started > chosen.budget:
            results.append({**run, "error": "not run: the budget of time was spent"})
            continue
        result, text = measure(run, table, chosen)
        results.append(result)
        speed = result.get("tokens_per_second", result.get("error"))
        print(f"{name}: {speed} ({result['wall']:.0f} s)", flush=True)
        if "error" in result:
            print(text[-1500:], flush=True)
        with (chosen.out / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"\n===== {name}\n{text[-20000:]}\n")
        written = {"machine": machine(), "results": results}
        (chosen.out / "results.json").write_text(json.dumps(written, indent=1), encoding="utf-8")
    text = f"{machine()}\n\n{markdown(results)}"
    (chosen.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    sys.exit(any("error" in result for result in results))


if __name__ == "__main__":
    main()
