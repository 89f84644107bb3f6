"""A machine outside of the workspace: what an author, or somebody who installs, has."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT

UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Machine:
    """An author's machine: an environment outside of the workspace, and a place to work."""

    venv: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, cwd: Path) -> str:
        """Run a command, which must succeed; its output."""
        program, *arguments = map(str, command)
        own = self.venv / "bin" / program
        done = subprocess.run(
            [own if own.exists() else program, *arguments],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, *what: str | Path, cwd: Path) -> None:
        """Install as ``pip install`` does, at the versions that this repository is tested with."""
        constraint = ["--constraint", ROOT / "constraints.txt"]
        self.run(UV, "pip", "install", "--quiet", *constraint, *what, cwd=cwd)

    def distributions(self) -> set[str]:
        """The distributions of ft that are installed."""
        listed = json.loads(self.run(UV, "pip", "list", "--format", "json", cwd=self.venv))
        return {entry["name"] for entry in listed if entry["name"].startswith("ft-")}


def wheel(machine: Machine, project: Path, out: Path) -> Path:
    """Build a project's wheel into ``out``."""
    build = ["build", "--quiet", "--no-sources", "--wheel", "--out-dir", out]
    machine.run(UV, *build, project, cwd=out.parent)
    (found,) = out.glob("*.whl")
    return found
