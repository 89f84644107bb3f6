import pydantic
import pytest
import torch
from harness import changed, random_rows, save, tiny_run, train, weights

from ft.api import Evaluator, hookimpl
from ft.pipeline.run import load_best
from ft.training.checkpoint import checkpoints, load_checkpoint
from ft_adapter_full import adapter
from ft_optimizer_schedule_free import averaged
from ft_optimizer_schedule_free import optimizer as schedule_free
from ft_trainer_sft import trainer


def make(folder, *more, **options):
    quiet = {"batch_size": 4, "steps": 4, "keep_checkpoints": 9, "precision": "float32"}
    optimizer = schedule_free.bind("schedule-free", {"learning_rate": 1e-2, "warmup": 2})
    parts = [adapter.bind("full"), optimizer, trainer.bind("sft", {**quiet, **options}), *more]
    run = tiny_run(folder, parts)
    run.eval_data["held-out"] = random_rows(2, seed=5)
    return run


def average_of(run):
    """The average as the paper has it: y = (1 - b) z + b x, solved for x."""
    found = {}
    for name, p in run.trainable():
        z = run.optimizer.state[p]["z"]
        found[name] = (p.detach() - 0.1 * z) / 0.9
    return found


def test_steps_are_those_of_algorithm_1():
    torch.manual_seed(0)
    start = torch.randn(5, 4)
    weight = torch.nn.Parameter(start.clone())

    class Bare:
        def trainable(self):
            return iter([("weight", weight)])

    options = {"learning_rate": 0.1, "weight_decay": 0.1}
    optimizer = schedule_free.bind("schedule-free", options).ft_build_optimizer(run=Bare())
    z, x, y, square = start.clone(), start.clone(), start.clone(), torch.zeros(5, 4)
    for step in range(1, 5):
        gradient = torch.randn(5, 4)
        weight.grad = gradient.clone()
        square = 0.999 * square + 0.001 * gradient**2
        z = z - 0.1 * (gradient / ((square / (1 - 0.999**step)).sqrt() + 1e-8) + 0.1 * y)
        x = (1 - 1 / step) * x + z / step
        y = 0.1 * z + 0.9 * x
        optimizer.step()
    torch.testing.assert_close(weight.detach(), y, rtol=0, atol=1e-6)
    with averaged(optimizer):
        torch.testing.assert_close(weight.detach(), x, rtol=0, atol=1e-6)


def test_the_average_is_measured_and_training_goes_on_untouched(tmp_path):
    plain, measured = make(tmp_path), make(tmp_path, eval_every=1)
    losses = train(measured)
    assert [line for line in measured.state.history if "held-out/loss" in line]
    plain.eval_data.clear()
    assert train(plain) == losses
    assert not changed(plain, weights(measured))
    last = [line["held-out/loss"] for line in measured.state.history if "held-out/loss" in line][-1]
    for name, value in average_of(measured).items():
        dict(measured.trainable())[name].data.copy_(value)
    measured.selection.leave_out(measured.part("optimizer"))  # as the weights lie now
    assert measured.evaluate()["held-out/loss"] == pytest.approx(last, rel=1e-5)


def test_the_result_is_the_average_and_a_checkpoint_what_trains(tmp_path):
    run = make(tmp_path)
    train(run)
    trained, expected = weights(run), average_of(run)
    save(run)
    assert not changed(run, trained)
    found = dict(run.load_base(run.folder / "result").named_parameters())
    assert any(not found[name].equal(trained[name]) for name in trained)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].detach(), value, rtol=0, atol=1e-6)
    again = make(tmp_path)
    train(again, checkpoints(run.folder)[-1])
    assert not changed(again, trained)


class Falling(Evaluator):
    """Finds the first step the best."""

    @hookimpl
    def ft_evaluate(self, run):
        return {"score": -run.state.step}


def test_the_best_evaluation_comes_back_with_its_average(tmp_path):
    best = {"load_best": True, "keep_best": {"metric": "judge/score", "mode": "max"}}
    run = make(tmp_path, Falling().bind("judge"), eval_every=1, save_every=1, **best)
    train(run)
    load_best(run)
    found = average_of(run)
    load_checkpoint(run, checkpoints(run.folder)[0])
    assert run.state.step == 1
    for name, value in average_of(run).items():
        assert found[name].equal(value)


def test_another_schedule_is_refused():
    with pytest.raises(pydantic.ValidationError, match="schedule"):
        schedule_free.bind("schedule-free", {"schedule": "cosine"})
