"""A killed run goes on as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import harness
import pytest
from safetensors.torch import load_file

HERE = Path(__file__).parent
TESTS = Path(harness.__file__).parent


def program(folder, parts, step=0):
    path = os.pathsep.join([str(TESTS), str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, HERE / "killed_program.py", folder, parts, str(step)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("parts", ["adamw", "adafactor", "lora"])
def test_killed_and_resumed_is_the_same_as_never_killed(tmp_path, parts):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    done = program(tmp_path / "whole", parts)
    assert done.returncode == 0, done.stderr

    killed = program(tmp_path / "killed", parts, step=5)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "trained.safetensors").exists()
    resumed = program(tmp_path / "killed", parts)
    assert resumed.returncode == 0, resumed.stderr

    whole = load_file(tmp_path / "whole" / "trained.safetensors")
    again = load_file(tmp_path / "killed" / "trained.safetensors")
    assert whole.keys() == again.keys()
    assert [name for name in whole if not whole[name].equal(again[name])] == []
