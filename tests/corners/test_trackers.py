"""Corner: a plugin fails while the run goes on."""

from __future__ import annotations

import pytest
from harness import tiny_run, train

from ft.api import InputError, Kernel, PluginError, Process, Tracker, hookimpl
from ft_adapter_lora import adapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import SFT


class Fragile(Tracker):
    """Works for two steps."""

    @hookimpl
    def ft_run_started(self, run):
        self.seen = []

    @hookimpl
    def ft_step_ended(self, run, metrics):
        self.seen.append(metrics["step"])
        if metrics["step"] == 2:
            raise ConnectionError("the board is gone")

    @hookimpl
    def ft_checkpoint_saved(self, run, folder):
        self.seen.append("saved")


class Steady(Tracker):
    """Hears everything."""

    @hookimpl
    def ft_run_started(self, run):
        self.seen = []

    @hookimpl
    def ft_step_ended(self, run, metrics):
        self.seen.append(metrics["step"])

    @hookimpl
    def ft_checkpoint_saved(self, run, folder):
        self.seen.append("saved")


class Strict(Kernel):
    """Must not be missing: without it the run is another one."""

    error: Exception = ValueError("no such device")

    @hookimpl
    def ft_step_ended(self, run):
        raise self.error


class Registers(Kernel):
    """Changes something outside of the run, and puts it back."""

    outside = {"attention": "theirs"}

    @hookimpl
    def ft_patch_config(self):
        self.outside["attention"] = "mine"

    @hookimpl
    def ft_end_process(self):
        self.outside["attention"] = "theirs"


class FailsAtTheEnd(Kernel):
    @hookimpl
    def ft_end_process(self):
        raise OSError("cannot let go")


def make(folder, *plugins):
    return tiny_run(
        folder,
        [
            SFT().bind("sft", {"batch_size": 4, "steps": 4}),
            optimizer.bind("adamw"),
            adapter.bind("lora"),
            *plugins,
        ],
    )


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first", "last"])
def test_a_failing_tracker_is_named_and_left_out(tmp_path, order):
    trackers = [Fragile().bind("fragile"), Steady().bind("steady")]
    run = make(tmp_path, *(trackers[i] for i in order))
    losses = train(run)
    assert len(losses) == 4
    assert trackers[0].seen == [1, 2]
    assert trackers[1].seen == [1, 2, 3, 4, "saved"]
    (warning,) = [line for line in run.progress.lines if "fragile" in line]
    assert "the board is gone" in warning
    assert run.parts("tracker") == trackers[1:]


def test_trackers_watch_the_main_process_only(tmp_path):
    steady = Steady().bind("steady")
    run = make(tmp_path, steady)
    run.process = Process(rank=1, world_size=2)
    run.selection.notify("ft_run_started", run=run)
    assert not hasattr(steady, "seen")


def test_any_other_plugin_ends_the_run(tmp_path):
    with pytest.raises(PluginError, match="kernel:strict: ft_step_ended: no such device") as found:
        train(make(tmp_path, Strict().bind("strict")))
    assert found.value.plugin == "kernel:strict"


def test_an_error_raised_on_purpose_stays_what_it_is(tmp_path):
    strict = Strict().bind("strict")
    strict.error = InputError("this model is too old", hint="take another")
    with pytest.raises(InputError, match="take another"):
        train(make(tmp_path, strict))


def test_at_the_end_everybody_cleans_up(tmp_path):
    kernels = [Registers().bind("registers"), FailsAtTheEnd().bind("fails")]
    for both in (kernels, kernels[::-1]):
        run = make(tmp_path, *both)
        assert Registers.outside == {"attention": "mine"}
        run.selection.notify("ft_end_process", run=run, ending=True)
        assert Registers.outside == {"attention": "theirs"}
        assert any("cannot let go" in line for line in run.progress.lines)
