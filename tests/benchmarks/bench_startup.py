"""How long light commands take, between what cannot be avoided and what must be.

The floor is an import of click and importlib.metadata, the ceiling one of torch and
transformers, which no command here may load.
"""

from __future__ import annotations

import sys
from pathlib import Path

import measure

REPEATS = 7
RECIPE = str(Path(__file__).parents[2] / "templates" / "demo" / "recipe.yaml")
FLOOR = "import click, importlib.metadata"
CEILING = "import torch, transformers"
COMMANDS = (["--help"], ["plugins", "list"], ["check", RECIPE])
BUDGET = {"--help": 2.0, "plugins": 3.0}
"""Largest ratio to the floor, by the first word of the command."""


def main() -> None:
    """Measure, print, and fail where a budget is exceeded."""
    arguments = measure.parser(__doc__).parse_args()
    ft = [sys.executable, "-m", "ft"]
    # the first check may fetch the model's package; it is none of this
    measure.fastest([*ft, "check", RECIPE], 1)
    floor = measure.fastest([sys.executable, "-c", FLOOR], REPEATS)
    rows = [[f"python -c '{FLOOR}'", f"{floor * 1000:.0f} ms", "1"]]
    failures = []
    for command in COMMANDS:
        seconds = measure.fastest([*ft, *command], REPEATS)
        ratio = seconds / floor
        shown = " ".join(Path(word).name for word in command)
        rows.append([f"ft {shown}", f"{seconds * 1000:.0f} ms", f"{ratio:.2f}"])
        if ratio > BUDGET.get(command[0], float("inf")):
            failures.append(f"ft {shown}: {ratio:.2f} times the floor")
    ceiling = measure.fastest([sys.executable, "-c", CEILING], 3)
    rows.append([f"python -c '{CEILING}'", f"{ceiling * 1000:.0f} ms", f"{ceiling / floor:.2f}"])
    text = f"Fastest of {REPEATS}. Budgets: {BUDGET}.\n\n"
    text += measure.table(["command", "time", "ratio"], rows)
    measure.report("Start-up", text, arguments.record)
    measure.leave(failures)


if __name__ == "__main__":
    main()
