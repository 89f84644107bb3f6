"""How long the conformance kit takes, beside the import of the libraries that it needs.

Every plugin of the workspace, or those that are named, each up to level 2 in a run of its own.
"""

from __future__ import annotations

import sys

import measure

from ft.plugins.policy import installed_index

FLOOR = "import torch, transformers.modeling_utils, transformers.masking_utils"
BUDGET = {"model": 60.0, "adapter": 20.0, "optimizer": 20.0, "template": 20.0}
"""Seconds for a plugin of the kind."""


def main() -> None:
    """Measure, print, and fail where a budget is exceeded."""
    parser = measure.parser(__doc__)
    parser.add_argument("plugins", nargs="*", help="KIND:NAME; unset: those of kinds in BUDGET")
    arguments = parser.parse_args()
    plugins = arguments.plugins or [r.id for r in installed_index().records if r.kind in BUDGET]
    floor = measure.fastest([sys.executable, "-c", FLOOR], 2)
    rows = [[f"python -c '{FLOOR}'", f"{floor:.1f} s", "1", ""]]
    failures = []
    for plugin in plugins:
        seconds = measure.fastest([sys.executable, "-m", "ft", "plugins", "test", plugin], 1)
        budget = BUDGET.get(plugin.partition(":")[0], float("inf"))
        rows.append(
            [
                f"ft plugins test {plugin}",
                f"{seconds:.1f} s",
                f"{seconds / floor:.1f}",
                f"{budget:g} s",
            ]
        )
        if seconds > budget:
            failures.append(f"{plugin}: {seconds:.1f} s of {budget:g} s")
    text = measure.table(["command", "time", "ratio", "budget"], rows)
    measure.report("Conformance kit", text, arguments.record)
    measure.leave(failures)


if __name__ == "__main__":
    main()
