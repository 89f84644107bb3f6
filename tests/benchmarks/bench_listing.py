"""How long ``ft plugins list`` takes with many plugins, beside an import that it cannot avoid.

Run it by hand: ``python tests/benchmarks/bench_listing.py [COUNT]``. The budget is a ratio of
at most 3 with 1,000 plugins, on any machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def fastest(code: str, environment: dict[str, str]) -> float:
    """Seconds of the fastest of several runs: the least disturbed one."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> int:
    """Print both times and their ratio; exit code 1 where the budget is exceeded."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        plugins = Path(folder, "plugins")
        plugins.mkdir()
        install(plugins, count)
        path = os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {
            "PYTHONPATH": path,
            "FT_CACHE_DIR": str(Path(folder, "cache")),
        }
        floor = fastest(FLOOR, environment)
        listing = fastest(LIST, environment)
    ratio = listing / floor
    print(f"{FLOOR}: {floor * 1000:.0f} ms")
    print(f"ft plugins list, {count} plugins: {listing * 1000:.0f} ms")
    print(f"ratio {ratio:.2f} (budget {BUDGET:g})")
    return int(ratio > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
