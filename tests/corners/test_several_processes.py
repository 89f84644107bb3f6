"""Corner: a backend that starts the program again in several processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import write_random_model
from safetensors.torch import load_file

from ft.api import ModelFamily

PROGRAM = Path(__file__).with_name("ddp_program.py")


def train(folder, processes):
    """Run the program; returns what it printed and the trained weights."""
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, str(processes)],
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("step")]
    return lines, load_file(folder / f"{processes}.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    write_random_model(folder / "model", ModelFamily("Llama", "Meta", ("llama",)), "llama")
    return folder


@pytest.fixture(scope="module")
def two(folder):
    return train(folder, 2)


def test_two_processes_train_as_one_does(folder, two):
    lines, alone = train(folder, 1)
    assert two[0] == lines  # printed once, with the tokens of both
    assert two[1].keys() == alone.keys()
    for name, weight in alone.items():
        torch.testing.assert_close(two[1][name], weight, rtol=0, atol=1e-6)
    assert not alone["guess.weight"].equal(torch.zeros(1, 1))


def test_two_processes_resume_exactly(folder, two):
    checkpoint = folder / "2" / "checkpoints" / "step-000002"
    assert {"process-0.pt", "process-1.pt"} <= {file.name for file in checkpoint.iterdir()}
    lines, again = train(folder, 2)  # goes on from that checkpoint
    assert lines == two[0][2:]
    for name, weight in two[1].items():
        assert again[name].equal(weight), name
    shutil.rmtree(folder / "2")
