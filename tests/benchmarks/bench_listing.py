"""How long ``ft plugins list`` takes with many plugins, beside an import that it cannot avoid.

The budget is a ratio of at most 3 with 1,000 plugins, on any machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import measure

KINDS = ("model", "template", "dataset", "adapter", "optimizer", "trainer", "reward", "tracker")
BUDGET = 3.0
REPEATS = 7
FLOOR = "import click, importlib.metadata"
LIST = "import sys; from ft.cli import main; sys.exit(main(['plugins', 'list']))"


def install(folder: Path, count: int) -> None:
    """Put ``count`` plugin distributions into ``folder``, metadata and module alike."""
    for number in range(count):
        kind, name = KINDS[number % len(KINDS)], f"synthetic{number:04}"
        module = f"ft_{kind}_{name}"
        info = folder / f"{module}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: ft-{kind}-{name}\nVersion: 0.1.0\n"
            f"Summary: A synthetic {kind} that stands for a real one of about this length\n"
            "License-Expression: Apache-2.0\nRequires-Dist: ft-core>=0.1,<1\n"
            f"Requires-Python: >=3.11\n\n# ft-{kind}-{name}\n\n" + "Described at length. " * 60
        )
        (info / "entry_points.txt").write_text(
            f"[ft.{kind}]\n{name} = {module}:plugin\n\n"
            f"[ft.match.model_type]\n{name} = {module}:plugin\n"
        )
        (info / "RECORD").write_text(f"{module}/__init__.py,,\n")
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text("raise RuntimeError('imported')\n")


def main() -> None:
    """Print both times and their ratio; exit code 1 where the budget is exceeded."""
    parser = measure.parser(__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many plugins")
    arguments = parser.parse_args()
    count = arguments.count
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder, "plugins")
        plugins.mkdir()
        install(plugins, count)
        path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONPATH": path, "FT_CACHE_DIR": str(Path(folder, "cache"))}
        floor = measure.fastest([sys.executable, "-c", FLOOR], REPEATS, environment)
        listing = measure.fastest([sys.executable, "-c", LIST], REPEATS, environment)
    ratio = listing / floor
    rows = [
        [f"python -c '{FLOOR}'", f"{floor * 1000:.0f} ms", "1"],
        [f"ft plugins list, {count} plugins", f"{listing * 1000:.0f} ms", f"{ratio:.2f}"],
    ]
    text = f"Fastest of {REPEATS}. Budget: a ratio of {BUDGET:g}.\n\n"
    text += measure.table(["command", "time", "ratio"], rows)
    measure.report("Listing", text, arguments.record)
    measure.leave([f"the ratio is {ratio:.2f}"] if ratio > BUDGET else [])


if __name__ == "__main__":
    main()
