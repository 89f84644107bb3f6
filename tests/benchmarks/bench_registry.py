"""How long ``ft plugins search`` takes over many entries, and ``ft env sync`` of ``starter``.

The budgets are 0.3 s for 1,000 entries, one file each, and 5 s where the libraries, torch among
them, are there already and the set's wheels lie in a folder. Both include the start of the process.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import measure

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "registry" / "src" / "ft_registry" / "sets" / "starter.toml"
UV = Path(sys.executable).with_name("uv")
KINDS = ("model", "template", "dataset", "adapter", "optimizer", "trainer", "reward", "tracker")
BUDGETS = {"search": 0.3, "sync": 5.0}
REPEATS = 7
FT = [sys.executable, "-c", "import sys; from ft.cli import main; sys.exit(main(sys.argv[1:]))"]


def write_registry(place: Path, count: int) -> None:
    """Install a registry of ``count`` distributions, each of about the length of a real one."""
    plugins = place / "many_registry" / "plugins"
    plugins.mkdir(parents=True)
    info = place / "many_registry-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: many-registry\nVersion: 1.0\n\n")
    (info / "entry_points.txt").write_text("[ft.registry]\nmany = many_registry\n")
    for number in range(count):
        kind, name = KINDS[number % len(KINDS)], f"synthetic{number:04}"
        plugin = {
            "kind": kind,
            "name": name,
            "matches": {"model_type": [name], "checkpoint": [f"acme/{name}-*"]},
            "papers": [f"arXiv:2106.{number:05}"],
        }
        digest = f"sha256:{number:064}"
        proof = {"version": "0.1.0", "level": 2, "kit": "1", "wheel": digest, "files": digest}
        entry = {
            "distribution": f"ft-{kind}-{name}",
            "summary": f"A synthetic {kind} that stands for a real one of about this length",
            "repository": f"https://example.org/acme/ft-{kind}-{name}",
            "steward": "Somebody at Acme",
            "licence": "Apache-2.0",
            "plugins": [plugin],
            "proofs": [proof],
        }
        text = json.dumps(entry, indent=1)
        (plugins / f"{entry['distribution']}.json").write_text(f"{text}\n")


def searching(folder: Path, count: int, environment: dict[str, str]) -> float:
    """Seconds of a search over ``count`` entries beside the project's own."""
    write_registry(folder / "path", count)
    path = os.pathsep.join(filter(None, [str(folder / "path"), os.environ.get("PYTHONPATH")]))
    command = [*FT, "plugins", "search", "synthetic0500"]
    return measure.fastest(command, REPEATS, environment | {"PYTHONPATH": path})


def syncing(folder: Path, environment: dict[str, str]) -> float:
    """Seconds of a synchronisation that installs all of ``starter`` and nothing else."""

    def run(*command: str | Path) -> None:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    wheels, lock, python = folder / "wheels", folder / "pylock.toml", folder / "venv/bin/python"
    names = ["ft-core", "ft-registry", *tomllib.loads(STARTER.read_text("utf-8"))["plugins"]]
    projects = (ROOT.joinpath("plugins", *name.split("-", 2)[1:]) for name in names[2:])
    for project in (ROOT / "core", ROOT / "registry", *projects):
        run(UV, "build", "--quiet", "--no-sources", "--wheel", "--out-dir", wheels, project)
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    # what is given replaces what uv reads from its variable
    links = [wheels, *shlex.split(environment.get("UV_FIND_LINKS", "").replace(",", " "))]
    found = [word for link in links for word in ("--find-links", str(link))]
    bounds = ("--constraint", ROOT / "constraints.txt")
    where = ("--python", python)
    run(*FT, "env", "lock", *where, "--set", "starter", "--output", lock, *found, *bounds)
    sync = [*FT, "env", "sync", *where, "--lock", lock]
    run(*sync)
    seconds = []
    for _ in range(REPEATS):
        run(UV, "pip", "uninstall", "--quiet", *where, *names)
        lock.with_name("pylock.files.json").unlink()
        started = time.perf_counter()
        run(*sync)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> None:
    """Print both times; exit code 1 where a budget is exceeded."""
    parser = measure.parser(__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many entries")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        machine = {"FT_MACHINE_POLICY": str(folder / "none"), "FT_CACHE_DIR": str(folder / "cache")}
        environment = dict(os.environ) | machine
        took = {
            "search": searching(folder, arguments.count, environment),
            "sync": syncing(folder, environment),
        }
    labels = {
        "search": f"ft plugins search, {arguments.count:,} entries",
        "sync": "ft env sync, starter from a folder of wheels, its libraries there",
    }
    rows = [[labels[name], f"{took[name]:.2f} s", f"{BUDGETS[name]:g} s"] for name in took]
    text = f"Fastest of {REPEATS}.\n\n{measure.table(['command', 'time', 'budget'], rows)}"
    measure.report("Registry", text, arguments.record)
    measure.leave(
        [f"{labels[name]}: {took[name]:.2f} s" for name in took if took[name] > BUDGETS[name]]
    )


if __name__ == "__main__":
    main()
