"""Writes matrix.md from matrix.json, where ``ft matrix --run`` keeps what it found.

``ft matrix --run --results docs/matrix.json`` and ``python docs/compute_matrix.py`` after a method
was added or changed, in an environment that has all of ``plugins/`` installed: pairs of which
neither plugin has changed are not tried again. A test compares.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ft.plugins.policy import installed_index
from ft.recipe.matrix import in_general

ROOT = Path(__file__).resolve().parents[1]
TABLES = {
    "quantizer": "Adapters and quantizers",
    "optimizer": "Adapters and optimizers",
    "trainer": "Adapters and trainers",
}
KINDS = ("adapter", *TABLES)
UNTRIED = {"became": "failed", "why": ["It was not tried."]}


def ours() -> dict[str, list[str]]:
    """Kind → the names of the plugins of this repository."""
    files = (ROOT / "plugins").glob("*/*/pyproject.toml")
    distributions = {f"ft-{file.parents[1].name}-{file.parent.name}" for file in files}
    records = [r for r in installed_index().records if r.distribution in distributions]
    return {kind: sorted(r.name for r in records if r.kind == kind) for kind in KINDS}


def found() -> Mapping[str, Any]:
    """What ``ft matrix --run`` kept."""
    return json.loads((ROOT / "docs" / "matrix.json").read_text(encoding="utf-8"))


def pair_of(adapter: str, kind: str, other: str) -> str:
    """The key of a pair in matrix.json."""
    sides = (f"adapter:{adapter}", f"{kind}:{other}")
    return " ".join(reversed(sides) if kind == "trainer" else sides)


def page(names: Mapping[str, Sequence[str]], results: Mapping[str, Any]) -> str:
    """Three tables with adapters down their sides, and the sentences that their numbers mean."""
    pairs = {
        kind: [
            [results["pairs"].get(pair_of(a, kind, o), UNTRIED) for o in names[kind]]
            for a in names["adapter"]
        ]
        for kind in TABLES
    }
    counts = Counter(p["became"] for rows in pairs.values() for row in rows for p in row)
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        "# What trains together",
        "",
        f"Every pair was tried on a tiny random model on a CPU ({results['date']}; {versions}): "
        f"{counts['trains']} train, {counts['refused']} are refused by `ft check` with a sentence, "
        f"{counts['not-run']} could not be tried here, {counts['failed']} fail.",
        "",
        "✓ says that in five steps on one batch the loss of the fifth is below that of the first, "
        "and that the result is saved. A trainer that learns from what the model itself writes has "
        "another batch at each step; there ✓ says that each loss is a number, that weights "
        "moved, and that the result is saved. A number is that of a sentence below: "
        "why the pair is refused, or in brackets why it could not be tried here. Each plugin has "
        "the options of its first sample in the conformance kit, its defaults for most.",
        "",
        "`ft matrix --run --only adapter:lora` tries the pairs of one plugin that is installed, "
        "your own included, and `ft matrix` says without a run what is refused.",
    ]
    reasons: dict[str, int] = {}
    for kind, title in TABLES.items():
        head = ["", *(f"`{name}`" for name in names[kind])]
        rows = [
            [f"`{adapter}`", *(mark(trial, reasons) for trial in row)]
            for adapter, row in zip(names["adapter"], pairs[kind], strict=True)
        ]
        lines += ["", f"## {title}", ""]
        lines += [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
    lines += ["", "## Why not", "", *(f"{n}. {reason}" for reason, n in reasons.items()), ""]
    return "\n".join(lines)


def mark(trial: Mapping[str, Any], reasons: dict[str, int]) -> str:
    """What a cell shows; reasons are numbered as they come."""
    why: Iterable[str] = in_general(trial.get("why", ()), KINDS)
    numbers = ", ".join(str(reasons.setdefault(reason, len(reasons) + 1)) for reason in why)
    shown = {"trains": "✓", "refused": numbers, "not-run": f"({numbers})"}
    return shown.get(trial["became"], f"**{numbers}**")


if __name__ == "__main__":
    (ROOT / "docs" / "matrix.md").write_text(page(ours(), found()), encoding="utf-8")
