"""What must not change the loss of a step or its gradients: how its rows are laid out.

And what must not change a run: how often it is killed on the way.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import harness
import pytest
import torch
from harness import random_rows
from safetensors.torch import load_file

from ft.conformance.bench import packed
from ft.training.batches import collate_step, counted
from ft.training.loop import Loop
from ft.training.recompute import checkpoint_activations

HERE = Path(__file__).parent
TESTS = Path(harness.__file__).parent


class Gradients(torch.optim.Optimizer):
    """Keeps the gradients of a step and changes nothing."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1.0})

    def step(self, closure=None):
        self.seen = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def weighted_rows():
    """Rows of very different lengths, with weights of many sizes, some of them 0."""
    rows = random_rows(8)
    for number, row in enumerate(rows):
        row.weights = [w * (0.5 + number) * (place % 3) for place, w in enumerate(row.weights)]
    return rows


def one_step(make, micro, pack, layers):
    rows = packed(weighted_rows(), 48) if pack else weighted_rows()
    size = len(rows)
    run = make(
        "adamw", rows=rows, batch_size=size, micro_batch_size=micro if size % micro == 0 else 1,
        packing=pack, max_grad_norm=None,
    )  # fmt: skip
    if layers:
        checkpoint_activations(run.model, layers)
    run.model.train()
    run.optimizer = Gradients([p for _, p in run.trainable()])
    run.scheduler = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda step: 1.0)
    run.scaler = torch.amp.GradScaler("cpu", enabled=False)
    batches = collate_step(run, list(range(size)))
    metrics = Loop(run, run.model).take_step([counted(run, batch) for batch in batches]).read
    return metrics, run.optimizer.seen, len(batches)


@pytest.fixture(scope="module")
def plain():
    return {}


@pytest.mark.parametrize(
    ("micro", "pack", "layers"), list(product([1, 2, 8], [False, True], [0, 1, True]))
)
def test_the_layout_of_a_step_changes_nothing(make, micro, pack, layers, plain):
    if not plain:
        plain["metrics"], plain["gradients"], passes = one_step(make, 8, False, 0)
        assert passes == 1
    metrics, gradients, _ = one_step(make, micro, pack, layers)
    assert metrics["loss"] == pytest.approx(plain["metrics"]["loss"], rel=1e-5)
    assert metrics["grad_norm"] == pytest.approx(plain["metrics"]["grad_norm"], rel=1e-4)
    for one, other in zip(gradients, plain["gradients"], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_the_layout_is_compared_by_can_tell(make, plain):
    """The comparison above fails where one token has another weight."""
    rows = weighted_rows()
    rows[3].weights[7] += 0.5
    run = make("adamw", rows=rows, batch_size=8, max_grad_norm=None)
    run.optimizer = Gradients([p for _, p in run.trainable()])
    run.scheduler = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda step: 1.0)
    run.scaler = torch.amp.GradScaler("cpu", enabled=False)
    micro = [counted(run, batch) for batch in collate_step(run, list(range(8)))]
    other = Loop(run, run.model.train()).take_step(micro).read["loss"]
    metrics, _, _ = one_step(make, 8, False, 0)
    assert other != pytest.approx(metrics["loss"], rel=1e-5)


def program(folder, seconds=None):
    """Train in a process of its own; with ``seconds``, dead that long after its first step."""
    path = os.pathsep.join([str(TESTS), str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, HERE / "killed_program.py", folder, "lora", "0", str(seconds or 0)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_killed_anywhere_again_and_again(tmp_path):
    """Inside a forward pass, a backward pass, the writing of a checkpoint: wherever it hits."""
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    done = program(tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    dice = random.Random(5)
    reached = []
    for _ in range(4):
        killed = program(tmp_path / "killed", dice.uniform(0.002, 0.05))
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        reached.append(sorted(p.name for p in tmp_path.glob("killed/run/checkpoints/step-*")))
    assert reached, "the run was too fast to be killed"
    if killed.returncode:
        done = program(tmp_path / "killed")
        assert done.returncode == 0, done.stderr
    whole = load_file(tmp_path / "whole" / "trained.safetensors")
    again = load_file(tmp_path / "killed" / "trained.safetensors")
    assert whole.keys() == again.keys()
    assert [name for name in whole if not whole[name].equal(again[name])] == []
