"""Checkpoints are whole or not there."""

from __future__ import annotations

import resource

import pytest
import torch
from harness import changed, train, weights

from ft.api import InputError, RunError, Tracker, hookimpl
from ft.training.checkpoint import (
    _all_or_none,
    checkpoints,
    load_checkpoint,
    random_state,
    set_random_state,
)


@pytest.fixture
def small_disk():
    """No file may grow beyond a size, as on a full disk; a function that sets it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class FillsUp(Tracker):
    """Fills the disk once the first checkpoint is saved."""

    @hookimpl
    def ft_checkpoint_saved(self):
        self.limit(self.size)


# in turn: the generators, the model and the optimizer do not fit any more
@pytest.mark.parametrize("size", [100, 100_000, 500_000])
def test_a_full_disk_leaves_earlier_checkpoints_alone(make, small_disk, size):
    fills = FillsUp().bind("fills")
    fills.limit, fills.size = small_disk, size
    run = make("adamw", fills, epochs=4, save_every=2)
    with pytest.raises(RunError, match="a checkpoint could not be written") as error:
        train(run)
    small_disk(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    assert "make room, then go on from step-000002 with: ft resume" in error.value.hint
    assert run.state.step == 4
    folder = run.folder / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-000002"]

    again = make("adamw", epochs=4, save_every=2)
    losses = train(again, checkpoints(again.folder)[-1])
    assert len(losses) == 8


def test_a_full_disk_before_the_first_checkpoint(make, small_disk):
    run = make("adamw", save_every=1)
    small_disk(1000)
    with pytest.raises(RunError, match="no checkpoint was complete yet"):
        train(run)


def test_only_the_newest_are_kept_and_sorted_by_number(make):
    run = make("adamw", steps=5, save_every=1, keep_checkpoints=2)
    train(run)
    assert [path.name for path in checkpoints(run.folder)] == ["step-000004", "step-000005"]
    assert len(list((run.folder / "checkpoints").iterdir())) == 2
    (run.folder / "checkpoints" / "step-1000000").mkdir()
    assert checkpoints(run.folder)[-1].name == "step-1000000"


def test_a_damaged_checkpoint_is_an_input_error(make):
    run = make("adamw", steps=1)
    train(run)
    (folder,) = checkpoints(run.folder)
    (folder / "optimizer.pt").write_bytes(b"cut off")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(make("adamw", steps=1), folder)


def test_another_adapter_is_told_apart(make):
    run = make("adamw", steps=1)
    train(run)
    with pytest.raises(InputError, match="trains other parameters"):
        train(make("lora", steps=1), checkpoints(run.folder)[-1])


class Counts(Tracker):
    """Something that must be known to go on."""

    @hookimpl
    def ft_run_started(self, run):
        self.count = getattr(self, "count", 0)
        # what a plugin draws while it starts must not change what comes after
        self.drawn = torch.rand(3)

    @hookimpl
    def ft_step_ended(self):
        self.count += 1

    @hookimpl
    def ft_plugin_state(self):
        return {"count": self.count, "tensor": torch.tensor(self.count)}

    @hookimpl
    def ft_restore_plugin_state(self, state):
        self.count = state["count"]
        assert state["tensor"] == self.count


def test_plugins_keep_their_own_state(make):
    whole = make("lora", Counts().bind("counts"), steps=4, save_every=2)
    train(whole)
    counts = Counts().bind("counts")
    again = make("lora", counts, steps=4, save_every=2)
    train(again, checkpoints(whole.folder)[0])
    assert counts.count == 4
    assert changed(again, weights(whole)) == set()


def test_generators_go_back_to_where_they_were():
    state = random_state()
    before = torch.rand(4)
    set_random_state(state)
    assert torch.rand(4).equal(before)


def test_a_defect_is_raised_after_the_others_were_told(make):
    run = make("adamw")
    told = []
    run.sum = lambda value: told.append(value) or value
    with pytest.raises(TypeError, match="no disk"), _all_or_none(run, run.folder):
        raise TypeError("no disk")
    assert told == [1.0]
