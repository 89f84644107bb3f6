"""Guards see what goes wrong in real runs of a tiny model, and are silent otherwise."""

from __future__ import annotations

import re

import pytest
import torch
from harness import changed, train, weights
from torch import nn

from ft.api import Kernel, RunError, Tracker, hookimpl
from ft.training.checkpoint import checkpoints
from ft.training.guards import Diverges, Explodes, Guards, Vanishes
from ft.training.sample import distinct_share
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import SFT


def warnings(run):
    return [line for line in run.progress.lines if line.startswith("step ")]


def with_rate(run, rate):
    """The same run with another learning rate."""
    faster = optimizer.bind("adamw", {"learning_rate": rate})
    run.selection = run.selection.replaced(run.part("optimizer"), faster)
    return run


def test_a_sound_run_is_not_warned_of(make):
    run = make("adamw", steps=40, guards="stop")
    train(run)
    assert warnings(run) == []


@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_a_loss_that_diverges_is_told_once(make, rate):
    run = with_rate(make("adamw", steps=40), rate)
    losses = train(run)
    assert max(losses) > 2 * losses[0]
    found = [line for line in warnings(run) if "the loss diverges" in line]
    assert len(found) == 1
    assert "lower optimizer.learning_rate" in found[0]
    off = with_rate(make("adamw", steps=40, guards="off"), rate)
    train(off)
    assert warnings(off) == []


class Breaks(Kernel):
    """From a step on, adds a term to the loss whose gradients push it up."""

    step, strength = 15, -300.0

    @hookimpl
    def ft_gradients_ready(self, run):
        if run.state.step >= self.step:
            for _, parameter in run.trainable():
                parameter.grad.mul_(self.strength)


def test_stopping_keeps_a_checkpoint_from_before_and_names_it(make):
    # checkpoints of every step, of which two are kept: none of before would be left
    run = with_rate(make("adamw", Breaks().bind("b"), steps=60, save_every=1, guards="stop"), 0.05)
    with pytest.raises(RunError, match="the gradient norm explodes") as error:
        train(run)
    kept = [path.name for path in checkpoints(run.folder)]
    assert kept[0] == "step-000015"  # the last of the healthy ones
    assert "the checkpoint of step 15 is from before" in error.value.hint
    assert "--step 15 optimizer.learning_rate=1.7e-02" in error.value.hint


class Ruins(Kernel):
    """Writes weights at a step that no later loss survives."""

    @hookimpl
    def ft_step_taken(self, run):
        if run.state.step == 6:
            for _, parameter in run.trainable():
                parameter.data.fill_(float("nan"))


def test_the_checkpoint_of_a_loss_that_is_no_number_is_none_of_its_weights(make):
    run = make("adamw", Ruins().bind("ruins"), steps=20, save_every=1)
    with pytest.raises(RunError, match="the loss is nan") as error:
        train(run)
    named = int(re.search(r"--step (\d+)", error.value.hint)[1])
    again = make("adamw", steps=named + 1)
    train(again, run.folder / "checkpoints" / f"step-{named:06}")
    assert again.state.step == named + 1


def test_an_exploding_gradient_is_told(make):
    run = make("adamw", Breaks().bind("breaks"), steps=20)
    train(run)
    (line,) = warnings(run)
    assert "step 18: the gradient norm explodes" in line


class Infinite(Kernel):
    @hookimpl
    def ft_gradients_ready(self, run):
        if run.state.step == 1:
            next(p for _, p in run.trainable()).grad.view(-1)[0] = float("inf")


@pytest.mark.parametrize("guards", ["warn", "off"])
def test_a_gradient_that_is_no_number_ends_the_run(make, guards):
    run = make("adamw", Infinite().bind("i"), steps=6, save_every=1, log_every=5, guards=guards)
    with pytest.raises(RunError, match="the gradient norm is inf at step 2"):
        train(run)
    assert [path.name for path in checkpoints(run.folder)] == ["step-000001"]


def test_a_bad_step_that_nobody_reads_is_seen_one_later(make):
    run = make("adamw", Infinite().bind("infinite"), steps=6, log_every=5)
    with pytest.raises(RunError, match="the gradient norm is inf at step 2"):
        train(run)
    assert run.state.step == 2
    assert not checkpoints(run.folder)


def test_gradients_that_are_all_zero(make):
    run = make("lora", steps=5)
    with torch.no_grad():
        run.model.get_output_embeddings().weight.zero_()
    train(run)
    (line,) = warnings(run)
    assert line.startswith("step 3: no gradient reaches any trained parameter")


def test_a_loss_without_a_graph(make):
    run = make("adamw", steps=2)
    run.model.get_output_embeddings().register_forward_hook(lambda m, i, out: out.detach())
    with pytest.raises(RunError, match="depends on no trained parameter"):
        train(run)


class Spare(SFT):
    """Adds a module that nothing uses."""

    @hookimpl
    def ft_add_modules(self):
        return {"spare": nn.Linear(2, 2)}


def test_parameters_without_a_gradient_are_named(tmp_path):
    from harness import tiny_run

    from ft_adapter_lora import adapter

    spare = Spare().bind("spare", {"steps": 25, "precision": "float32"})
    run = tiny_run(tmp_path, [spare, optimizer.bind("adamw"), adapter.bind("lora")])
    train(run)
    (line,) = warnings(run)
    assert line.startswith(
        "step 20: 2 trained parameters never got a gradient: spare.bias, spare.w"
    )


class Dies(Tracker):
    @hookimpl
    def ft_step_ended(self, run, metrics):
        run.state.interrupted = metrics["step"] == 17


def test_a_resumed_run_is_watched_as_one_that_never_stopped(make):
    stopped = make("adamw", Breaks().bind("breaks"), Dies().bind("dies"), steps=20)
    train(stopped)
    assert stopped.state.step == 17
    assert warnings(stopped) == []
    again = make("adamw", Breaks().bind("breaks"), steps=20)
    train(again, checkpoints(stopped.folder)[-1])
    assert ["step 18: the gradient norm explodes" in line for line in warnings(again)] == [True]


def test_watching_changes_nothing(make):
    watched, alone = make("lora", steps=8, guards="stop"), make("lora", steps=8, guards="off")
    assert train(watched) == train(alone)
    assert changed(watched, weights(alone)) == set()


def alarms(guard, values, key="loss"):
    return [i for i, value in enumerate(values) if guard.see({"step": i, key: value})]


def test_what_does_not_diverge():
    falling = [3 * 0.97**i for i in range(200)]
    assert alarms(Diverges(), falling) == []
    memorized = [3.0] * 6 + [0.001] * 50 + [0.5] * 100
    assert alarms(Diverges(), memorized) == []  # far above its best, and far below its start
    spikes = [2.0 if i % 25 else 20.0 for i in range(1, 200)]
    assert alarms(Diverges(), spikes) == []
    objective = [0.0] * 10 + [5.0] * 40
    assert alarms(Diverges(), objective) == []
    assert alarms(Diverges(), [2.0] * 20 + [9.0] * 20)[0] == 26


def test_what_does_not_explode():
    assert alarms(Explodes(), [1.0] * 20 + [500.0] + [1.0] * 20, "grad_norm") == []
    assert alarms(Explodes(), [1.0] * 20 + [15.0] * 20, "grad_norm") == []
    assert alarms(Explodes(), [1.0] * 20 + [25.0] * 3, "grad_norm") == [22]
    assert alarms(Vanishes(), [0.0, 0.0, 1.0, 0.0, 0.0], "grad_norm") == []


def test_an_optimizer_that_leaves_no_gradients_is_not_asked_for_them(make):
    run = make("adamw", steps=1)

    class Taking(type(run.part("optimizer"))):
        accepts = frozenset()

    taking = Taking().bind("taking")
    run.selection = run.selection.replaced(run.part("optimizer"), taking)
    assert [type(guard) for guard in Guards(run)._guards] == [Diverges]
    assert Guards(run)._unreached is None


def test_repetition_is_told_from_prose():
    assert distinct_share([1, 2, 3]) == 1
    assert distinct_share(list(range(50))) == 1
    assert distinct_share([5] * 50) < 0.05
    assert distinct_share([1, 2, 3, 4, 5, 6] * 10) < 0.15
