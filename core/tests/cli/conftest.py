"""Running ``ft`` in a test, in this process and in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ft.plugins import index, policy


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def ft(site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """``ft("plugins", "list")`` with the plugins of the site and no others, 80 columns wide."""
    from ft.cli import main

    monkeypatch.setattr(policy, "read_index", lambda: index.read_index([str(site.path)]))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def python(site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Run code in a fresh interpreter that has the site on its path; returns its output."""
    monkeypatch.setenv("PYTHONPATH", str(site.path))

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
