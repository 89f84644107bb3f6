"""Predicted beside measured memory and speed of ft's runs in ``results.json``.

``plan_check.py RESULTS --models FOLDER [--device h200]``: RESULTS is what ``run_all.py`` wrote;
FOLDER has a checkpoint, or its configuration alone, for each model that the table's works name.
Leaves with 1 where a prediction of memory is further than ``--within`` from what was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from work import Work

import ft_run
from ft.api import Device, Progress
from ft.cli.quiet import quiet_libraries
from ft.plan.choose import Plan, Planner, written
from ft.plan.device import find_device
from ft.plugins.policy import installed_index
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve

HERE = Path(__file__).parent


def predicted(job: dict[str, Any], device: Device) -> Plan:
    """The plan of a run's recipe as it is."""
    folder = Path(job["scratch"])
    recipe = ft_run.recipe(Work(**job))
    # rows are not looked at, but a recipe names some
    rows = folder / "rows.json"
    rows.write_text('[{"instruction": "a", "input": "", "output": "b"}]', encoding="utf-8")
    recipe["data"]["path"] = str(rows)
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(recipe), encoding="utf-8")
    resolved = resolve(read_recipe(file, ()), installed_index(), fetch_weights=False)
    return written(Planner(resolved, device, Progress()))


def main() -> None:
    """Print a line for each run that has a result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--device", default="h200")
    parser.add_argument("--table", type=Path, default=HERE / "table.toml")
    parser.add_argument("--within", type=float, default=0.1)
    chosen = parser.parse_args()
    quiet_libraries()
    works = tomllib.loads(chosen.table.read_text(encoding="utf-8"))["works"]
    runs = json.loads(chosen.results.read_text(encoding="utf-8"))["results"]
    device, worst = find_device(chosen.device, "auto"), 0.0
    print("| work | settings | GB predicted | measured | off | tokens/s predicted | measured |")
    print("|---|---|---|---|---|---|---|")
    for run in runs:
        if run["stack"] != "ft" or "peak_gb" not in run:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            asked = dict(works[run["work"]])
            job = {
                **asked,
                "model": str((chosen.models / asked["model"]).absolute()),
                "data": scratch,
                "scratch": scratch,
                "settings": run.get("settings", {}),
            }
            plan = predicted(job, device)
        off = plan.peak / 1e9 / run["peak_gb"] - 1
        worst = max(worst, abs(off))
        print(
            f"| {run['work']} | {run['label']} | {plan.peak / 1e9:.1f} | {run['peak_gb']:.1f} "
            f"| {off:+.1%} | {plan.tokens_per_second:,.0f} | {run['tokens_per_second']:,.0f} |",
            flush=True,
        )
    sys.exit(worst > chosen.within)


if __name__ == "__main__":
    main()
