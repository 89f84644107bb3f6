"""Runs that are interrupted, killed or run out of disk, and go on to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

STEPS = 40


@pytest.fixture
def long_recipe(recipe, checkpoint, chat_rows):
    """A run of 40 steps over several epochs; GPT-2 draws dropout in each of them."""

    def write(**trainer):
        return recipe(
            model=checkpoint("gpt2"),
            template="chatml",
            data=str(chat_rows),
            trainer={"steps": STEPS, "batch_size": 3, **trainer},
            adapter={"dropout": 0.1},
        )

    return write


@pytest.fixture
def whole(ft, long_recipe):
    """The same run, never stopped: its weights and losses."""
    assert ft("train", long_recipe(), "output=whole").code == 0
    return load_file("whole/result/adapter_model.safetensors"), losses("whole")


def losses(run):
    lines = map(json.loads, Path(run, "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def steps(run="run"):
    """The number of metric lines so far."""
    file = Path(run, "metrics.jsonl")
    return file.read_text().count("\n") if file.exists() else 0


def checkpoints(run="run"):
    return sorted(path.name for path in Path(run, "checkpoints").glob("step-*"))


def assert_ended_like(whole, run="run"):
    weights, curve = whole
    assert losses(run) == curve
    found = load_file(f"{run}/result/adapter_model.safetensors")
    assert found.keys() == weights.keys()
    assert all(found[name].equal(weights[name]) for name in weights)


def test_interrupted_run_goes_on(start, whole, ft, long_recipe):
    process = start("train", long_recipe())
    process.wait_for(lambda: steps() >= 5)
    process.signal(signal.SIGINT)
    done = process.result()
    assert done.code == 1
    (last,) = checkpoints()
    step = int(last.removeprefix("step-"))
    assert 5 <= step < STEPS
    assert f"error: stopped after step {step} of {STEPS}; saved {last}" in done.err
    assert "ft resume run" in done.err
    assert not Path("run/result").exists()
    assert ft("chat", "run", "-p", "x").code == 2

    done = ft("resume", "run")
    assert done.code == 0, done.err
    assert f"resuming from {last}" in done.err
    assert_ended_like(whole)


def test_killed_run_goes_on(start, whole, ft, long_recipe):
    process = start("train", long_recipe(save_every=1))
    process.wait_for(lambda: len(checkpoints()) == 2 and steps() >= 5)
    process.signal(signal.SIGKILL)
    assert process.result().code == -signal.SIGKILL
    done = ft("resume", "run")
    assert done.code == 0, done.err
    assert_ended_like(whole)
    # nothing half-written is left behind
    assert {path.name for path in Path("run/checkpoints").iterdir()} == {*checkpoints()}


def test_a_second_signal_stops_at_once(start, long_recipe):
    process = start("train", long_recipe(steps=100_000))
    process.wait_for(lambda: steps() >= 2)
    process.signal(signal.SIGINT)
    process.wait_for(lambda: "stopping after this step" in process.err.read_text())
    if process.process.is_alive():
        process.signal(signal.SIGINT)
    assert process.result().code == 1


def test_resuming_a_finished_run_changes_nothing(ft, recipe, checkpoint, chat_rows):
    assert ft("train", recipe(model=checkpoint("llama"), data=str(chat_rows))).code == 0
    before = load_file("run/result/adapter_model.safetensors")
    curve = losses("run")
    done = ft("resume", "run")
    assert done.code == 0, done.err
    after = load_file("run/result/adapter_model.safetensors")
    assert all(after[name].equal(before[name]) for name in before)
    assert losses("run") == curve


def test_resuming_without_a_checkpoint(start, ft, long_recipe):
    process = start("train", long_recipe(steps=100_000))
    process.wait_for(lambda: steps() >= 1)
    process.signal(signal.SIGKILL)
    process.result()
    done = ft("resume", "run")
    assert done.code == 2
    assert "no checkpoint to go on from" in done.err
    assert "ft train" in done.err


def test_resuming_what_is_no_run(ft, work):
    done = ft("resume", "nowhere")
    assert done.code == 2
    assert "no run lies here" in done.err


def test_damaged_checkpoint_is_named(ft, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    assert ft("train", path, "trainer.save_every=2").code == 0
    state = Path("run/checkpoints/step-000004/optimizer.pt")
    state.write_bytes(state.read_bytes()[:100])
    done = ft("resume", "run")
    assert done.code == 2
    assert "step-000004" in done.err
    assert "remove the folder" in done.err


# -- a full disk: no file may grow beyond a limit --------------------------------------------


def test_full_disk_leaves_earlier_checkpoints(start, ft, long_recipe, whole):
    process = start("train", long_recipe(save_every=1))
    process.wait_for(lambda: len(checkpoints()) == 2)
    process.fill_disk(20_000)
    done = process.result()
    assert done.code == 1
    assert "a checkpoint could not be written: " in done.err
    assert "File too large" in done.err
    first, last = checkpoints()
    assert f"go on from {last} with: ft resume run" in done.err
    assert {path.name for path in Path("run/checkpoints").iterdir()} == {first, last}
    done = ft("resume", "run")
    assert done.code == 0, done.err
    assert_ended_like(whole)


def test_full_disk_at_the_first_checkpoint(start, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    done = start("train", path, largest=20_000).result()
    assert done.code == 1
    assert "a checkpoint could not be written" in done.err
    assert "make room" in done.err
    assert not any(Path("run/checkpoints").iterdir())


def test_full_disk_when_the_result_is_saved(start, ft, recipe, checkpoint, chat_rows):
    path = recipe(
        model=checkpoint("llama"),
        data=str(chat_rows),
        adapter={"name": "freeze", "layers": 1},
        optimizer={"name": "adafactor"},
    )
    # a checkpoint holds one layer of two, the result the whole model
    done = start("train", path, largest=400_000).result()
    assert done.code == 1, done.err
    assert "the result could not be written" in done.err
    assert "ft resume run" in done.err
    assert not Path("run/result").exists()
    assert checkpoints() == ["step-000004"]
    assert ft("resume", "run").code == 0
    assert Path("run/result/model.safetensors").is_file()


def test_full_disk_at_the_start(start, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=str(chat_rows))
    done = start("train", path, largest=1000).result()
    assert done.code == 2
    assert "run: the run folder cannot be written: File too large" in done.err
    assert not Path("run").exists()


# -- in a process of its own, as a user starts it ---------------------------------------------


def test_ft_as_a_program(work, long_recipe):
    """The exit code and the signals of ``python -m ft``, with all of its imports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ft", "train", long_recipe(steps=100_000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        for line in process.stderr:
            if "loss" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1, err
    assert "stopped after step" in err
    assert "Traceback" not in err
    assert out == ""
