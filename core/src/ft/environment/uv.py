"""uv, which resolves, downloads, checks hashes and installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ft.errors import RunError


def find_uv() -> str | None:
    """The uv beside this interpreter, or else that of the shell: which runs should not vary."""
    return shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")


def run_uv(*arguments: str | Path, failed: str) -> None:
    """Run uv, which must succeed.

    Raises :class:`ft.errors.RunError` with ``failed`` and what uv says where it does not.
    """
    uv = find_uv()
    if not uv:
        raise RunError(f"{failed}: uv is not installed", hint=f"{sys.executable} -m pip install uv")
    environment = {"UV_CUSTOM_COMPILE_COMMAND": "ft env lock", "UV_NO_PROGRESS": "1", **os.environ}
    command = [uv, "--preview-features", "pylock", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise RunError(f"{failed}\n{said}")
