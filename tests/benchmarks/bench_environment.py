"""How long ``ft env verify`` takes over many plugins, every file of which is read.

The budget is a second for 200 plugins, start of the process included.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

from ft.environment.digests import Digest, write_digests
from ft.environment.lock import read_lock
from ft.environment.place import environment_of
from ft.environment.record import record_digest

BUDGET = 1.0
REPEATS = 5
MODULES = 5
"""Modules of a plugin; those of this repository have three on average."""
TEXT = '"""A synthetic module."""\n' + "value = 1  # of about the length of a real one\n" * 120
VERIFY = (
    "import sys; from ft.cli import main; "
    "sys.exit(main(['env', 'verify', '--python', sys.argv[1], '--lock', sys.argv[2]]))"
)


def install(site: Path, name: str) -> None:
    """Put one plugin distribution into ``site`` as uv leaves it."""
    module = name.replace("-", "_")
    info = f"{module}-0.1.0.dist-info"
    files = {f"{module}/part{number}.py": TEXT for number in range(MODULES)}
    files |= {
        f"{module}/__init__.py": TEXT,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.1.0\n\n{TEXT}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/INSTALLER": "uv",
        f"{info}/REQUESTED": "",
        f"{info}/entry_points.txt": f"[ft.adapter]\n{name} = {module}:plugin\n",
    }
    record = f"{info}/RECORD,,\n"
    for path, text in files.items():
        file = site / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record += f"{path},sha256={digest.rstrip('=')},{len(text)}\n"
    (site / info / "RECORD").write_text(record)


def lock(folder: Path, python: Path, names: list[str]) -> Path:
    """A lock of all of them, with the notes beside it."""
    file = folder / "pylock.toml"
    digest = hashlib.sha256(b"a wheel").hexdigest()
    text = 'lock-version = "1.0"\ncreated-by = "a benchmark"\n'
    for name in names:
        wheel = (
            f'{{ url = "https://wheels.example/{name}.whl", hashes = {{ sha256 = "{digest}" }} }}'
        )
        text += f'\n[[packages]]\nname = "{name}"\nversion = "0.1.0"\nwheels = [{wheel}]\n'
    file.write_text(text)
    installed = environment_of(python).installed
    notes = {
        entry.name: Digest("0.1.0", record_digest(installed[entry.name].info), entry.hashes)
        for entry in read_lock(file).packages
    }
    write_digests(file, notes)
    return file


def main() -> None:
    """Print the time; exit code 1 where the budget is exceeded."""
    parser = measure.parser(__doc__)
    parser.add_argument("count", nargs="?", type=int, default=200, help="how many plugins")
    arguments = parser.parse_args()
    count = arguments.count
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run(
            [uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True
        )
        python = folder / "venv/bin/python"
        names = [f"ft-adapter-synthetic{number:04}" for number in range(count)]
        for name in names:
            install(environment_of(python).sites[0], name)
        command = [sys.executable, "-c", VERIFY, str(python), str(lock(folder, python, names))]
        machine = {"FT_MACHINE_POLICY": str(folder / "none"), "FT_CACHE_DIR": str(folder / "cache")}
        seconds = measure.fastest(command, REPEATS, os.environ | machine)
    files = count * (MODULES + 6)
    text = f"Fastest of {REPEATS}. Budget: {BUDGET:g} s for 200 plugins.\n\n"
    text += measure.table(
        ["command", "time"],
        [[f"ft env verify, {count} plugins, {files} files", f"{seconds:.2f} s"]],
    )
    measure.report("Verifying", text, arguments.record)
    measure.leave([f"{seconds:.2f} s"] if seconds > BUDGET else [])


if __name__ == "__main__":
    main()
