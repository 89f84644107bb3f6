"""The loop: what a step computes, and how it ends."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from harness import changed, random_rows, train, weights

from ft.api import Evaluator, Kernel, Loss, Process, RunError, Tracker, hookimpl
from ft.training.batches import collate_step, counted, without_weight
from ft.training.checkpoint import checkpoints
from ft.training.evaluate import evaluate
from ft.training.loop import Loop, count_steps
from ft.training.order import Order


class Gradients(torch.optim.Optimizer):
    """Keeps the gradients of a step and changes nothing."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1.0})

    def step(self, closure=None):
        self.seen = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def one_step(run):
    """The metrics and the gradients of the first step."""
    run.optimizer = Gradients([p for _, p in run.trainable()])
    run.scheduler = torch.optim.lr_scheduler.LambdaLR(run.optimizer, lambda step: 1.0)
    run.scaler = torch.amp.GradScaler("cpu", enabled=False)
    micro = [counted(run, batch) for batch in collate_step(run, list(range(8)))]
    return Loop(run, run.model).take_step(micro).read, run.optimizer.seen


@pytest.mark.parametrize("micro", [1, 2, 4])
def test_splitting_a_batch_changes_nothing(make, micro):
    options = {"batch_size": 8, "max_grad_norm": None}
    metrics, gradients = one_step(make("adamw", **options))
    split_metrics, split = one_step(make("adamw", micro_batch_size=micro, **options))
    assert split_metrics["loss"] == pytest.approx(metrics["loss"], rel=1e-5)
    assert split_metrics["grad_norm"] == pytest.approx(metrics["grad_norm"], rel=1e-4)
    for one, other in zip(gradients, split, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_loss_is_a_mean_over_weighted_tokens(make):
    rows = random_rows(8)
    rows[0].weights = [0.0] * 4 + [0.5] * (len(rows[0]) - 4)
    run = make("adamw", rows=rows, batch_size=8)
    tokens = run.token_losses(run.model, run.collate(rows))
    expected = (tokens.losses * tokens.weights).sum() / tokens.weights.sum()
    metrics, _ = one_step(run)
    assert metrics["loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_clipping_bounds_the_norm(make):
    metrics, gradients = one_step(make("adamw", batch_size=8, max_grad_norm=0.01))
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
    assert norm.item() == pytest.approx(0.01, rel=1e-3)
    assert metrics["grad_norm"] > 0.01


def test_processes_share_a_batch_without_loss_or_doubling(make):
    run = make("adamw", batch_size=4, micro_batch_size=1)
    units, pieces = 0.0, set()
    for rank in range(2):
        run.process = Process(rank, 2)
        batches = collate_step(run, [0, 1, 2])
        pieces.add(len(batches))
        units += sum(float(batch["weights"].sum()) for batch in batches)
    assert pieces == {2}  # as many passes here as there
    assert units == sum(sum(run.data[i].weights) for i in range(3))


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 100), (0.07, 7), (0.001, 1), (0.075, 8)])
def test_steps_of_a_share_of_an_epoch(make, epochs, steps):
    options = make("adamw", epochs=epochs).part("trainer").options
    assert count_steps(options, Order([1] * 400, 4, 0)) == steps


class Signals(Tracker):
    """Sends this process a signal, while a step, an evaluation or a save is reported."""

    def __init__(self, hook):
        self.hook = hook

    def _send(self, hook):
        if hook == self.hook:
            os.kill(os.getpid(), signal.SIGINT)

    @hookimpl
    def ft_step_ended(self, metrics):
        if metrics["step"] == 2:
            self._send("step")

    @hookimpl
    def ft_evaluated(self, metrics):
        if metrics["step"] == 2:
            self._send("evaluated")

    @hookimpl
    def ft_checkpoint_saved(self, folder):
        if folder.name == "step-000002":
            self._send("saved")


@pytest.mark.parametrize("hook", ["step", "evaluated", "saved"])
def test_ctrl_c_saves_whenever_it_comes(make, hook):
    def run_with(*more):
        run = make("lora", *more, steps=6, save_every=2, eval_every=2, keep_checkpoints=9)
        run.eval_data["eval"] = random_rows(2)
        return run

    whole = run_with()
    train(whole)
    signalled = run_with(Signals(hook).bind("signals"))
    train(signalled)
    assert signalled.state.interrupted
    # the step that was under way is the last, and it is saved
    assert signalled.state.step in (2, 3)
    last = signalled.folder / "checkpoints" / f"step-{signalled.state.step:06d}"
    assert last in checkpoints(signalled.folder)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    again = run_with()
    train(again, last)
    assert not again.state.interrupted
    # the evaluation at the interrupt, which the whole run did not make, left no trace
    assert changed(again, weights(whole)) == set()


def test_a_second_ctrl_c_stops_at_once(make):
    class Twice(Tracker):
        @hookimpl
        def ft_step_ended(self):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make("lora", Twice().bind("twice")))


def test_a_plugin_that_stops_is_no_interrupt(make):
    class Enough(Tracker):
        @hookimpl
        def ft_step_ended(self, run):
            run.state.stop = True

    run = make("lora", Enough().bind("enough"), steps=6)
    train(run)
    # seen during step 1's report, before the step is over
    assert run.state.step <= 2
    assert not run.state.interrupted
    assert checkpoints(run.folder)


def test_a_loss_that_is_no_number_ends_the_run(make):
    run = make("adamw", steps=3)
    with torch.no_grad():
        run.model.lm_head.weight[7].fill_(float("nan"))
    with pytest.raises(RunError, match="the loss is nan at step 1"):
        train(run)


class Dices(Evaluator):
    """Draws random numbers, and looks whether anything is in training mode."""

    @hookimpl
    def ft_evaluate(self, run, model):
        modules = [model, *run.modules.values()]
        return {"drawn": float(torch.rand(1)), "training": sum(m.training for m in modules)}


def test_evaluation_leaves_no_trace(make):
    plain = make("lora", steps=4)
    train(plain)
    run = make("lora", Dices().bind("dices"), steps=4, eval_every=1)
    run.eval_data["held-out"] = random_rows(3)
    train(run)
    assert changed(run, weights(plain)) == set()
    evaluations = [line for line in run.state.history if "held-out/loss" in line]
    assert len(evaluations) == 4
    assert {line["dices/training"] for line in evaluations} == {0}


def test_evaluation_is_the_same_in_any_pieces(make):
    losses = []
    for size in (1, 3, 8):
        run = make("adamw", batch_size=size)
        run.eval_data["eval"] = random_rows(7)
        losses.append(evaluate(run, run.model)["eval/loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_what_a_plugin_reports_is_a_weighted_mean(make):
    from ft_trainer_sft import SFT

    class Reports(SFT):
        @hookimpl
        def ft_compute_loss(self, run, model, batch):
            run.report("rows", len(batch["input_ids"]), weight=len(batch["input_ids"]))
            run.report("grad_norm", -1)
            loss = super().ft_compute_loss(run, model, batch)
            return Loss(loss.total, loss.metrics)

    run = make("adamw", steps=1)
    reports = Reports().bind("reports", {"batch_size": 3, "micro_batch_size": 1, "steps": 1})
    run.selection.leave_out(run.part("trainer"))
    run.selection._plugins.append(reports)
    run.selection._register(reports)
    train(run)
    line = run.state.history[-1]
    assert line["rows"] == 1
    assert line["grad_norm"] == -1
    assert run.reported == {}


def test_a_bad_loss_is_seen_before_it_is_saved(make):
    run = make("adamw", steps=4, log_every=3, save_every=1)
    with torch.no_grad():
        run.model.lm_head.weight[7].fill_(float("nan"))
    with pytest.raises(RunError, match="the loss is nan at step 1"):
        train(run)
    assert not checkpoints(run.folder)


class StopsAt(Tracker):
    """Ends the run when the evaluation of a step is told."""

    @hookimpl
    def ft_evaluated(self, run, metrics):
        run.state.stop = metrics["step"] == 2


def test_stopping_at_an_evaluation_takes_no_further_step(make):
    run = make("adamw", StopsAt().bind("stops"), steps=6, eval_every=1)
    run.eval_data["eval"] = random_rows(2)
    train(run)
    assert run.state.step == 2
    (last,) = checkpoints(run.folder)
    assert last.name == "step-000002"
    # whoever resumes it, since its result could not be written say, trains no further
    again = make("adamw", StopsAt().bind("stops"), steps=6, eval_every=1)
    train(again, last)
    assert again.state.step == 2
    assert changed(again, weights(run)) == set()


def test_a_batch_that_teaches_nothing_has_no_labels(make):
    run = make("adamw")
    batch = without_weight({"chosen": run.collate(run.data[:2])})["chosen"]
    assert batch["weights"].eq(0).all()
    assert batch["labels"].eq(-100).all()


def test_evaluation_has_the_metrics_of_the_loss(make):
    from ft_trainer_sft import SFT

    class Accurate(SFT):
        @hookimpl
        def ft_compute_loss(self, run, model, batch):
            loss = super().ft_compute_loss(run, model, batch)
            return Loss(loss.total, {"halved": loss.total.detach() / 2})

    run = make("adamw")
    run.selection = run.selection.replaced(
        run.part("trainer"), Accurate().bind("accurate", {"precision": "float32"})
    )
    run.eval_data["eval"] = random_rows(3)
    metrics = evaluate(run, run.model)
    assert metrics["eval/halved"] == pytest.approx(metrics["eval/loss"] / 2)


class Watcher(Kernel):
    """Adds a constant to the loss and looks at gradients before and after the step."""

    seen = ()

    @hookimpl
    def ft_extra_loss(self, outputs):
        return outputs.logits.float().sum() * 0 + 2.0

    @hookimpl
    def ft_gradients_ready(self, run):
        self.seen += (("ready", next(p for _, p in run.trainable()).grad is not None),)

    @hookimpl
    def ft_step_taken(self, run):
        self.seen += (("taken", next(p for _, p in run.trainable()).grad is not None),)


def test_terms_of_other_plugins_and_the_moments_of_a_step(make):
    options = {"steps": 1, "batch_size": 8, "micro_batch_size": 2}
    plain = make("adamw", **options)
    watched = make("adamw", Watcher().bind("watcher"), **options)
    (alone,), (added,) = train(plain), train(watched)
    assert added == pytest.approx(alone + 2.0)
    assert watched.part("kernel").seen == (("ready", True), ("taken", True))
