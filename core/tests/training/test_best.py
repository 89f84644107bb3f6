"""The best evaluation: kept, loaded, and waited for no longer than asked."""

from __future__ import annotations

import pytest
from harness import changed, random_rows, train, weights

from ft.api import Evaluator, InputError, hookimpl
from ft.pipeline.run import load_best
from ft.training.best import Best
from ft.training.checkpoint import checkpoints


class Scripted(Evaluator):
    """Scores by a script, one value for each evaluation."""

    @hookimpl
    def ft_evaluate(self, run, model):
        return {"score": self.script[run.state.step - 1]}


def scripted(make, script, **options):
    evaluator = Scripted().bind("judge")
    evaluator.script = script
    options = {"steps": len(script), "eval_every": 1, "keep_checkpoints": 1} | options
    run = make("adamw", evaluator, **options)
    run.eval_data["held-out"] = random_rows(2)
    return run


def kept(run):
    return [path.name for path in checkpoints(run.folder)]


UP = {"metric": "judge/score", "mode": "max"}
DOWN = {"metric": "judge/score", "mode": "min"}


@pytest.mark.parametrize(
    ("by", "script", "stops"),
    [
        (DOWN, [5, 4, 3, 3, 3, 1, 1, 1], 5),
        (DOWN, [5, 4, 5, 3, 5, 2, 5, 1], 8),
        (UP, [5, 4, 3, 3, 3, 1, 1, 1], 3),
        (UP, [1, 2, 3, 4, 5, 6, 6, 9], 8),
        (DOWN | {"min_delta": 1.5}, [5, 4, 3.4, 3, 3, 1, 1, 1], 5),
        (DOWN, [float("nan"), float("nan"), 3, 1, 1, 1, 1, 1], 2),
    ],
)
def test_stops_when_nothing_better_comes(make, by, script, stops):
    run = scripted(make, script, early_stopping={"patience": 2, **by})
    train(run)
    assert run.state.step == stops
    assert kept(run) == [f"step-{stops:06d}"]
    said = [line for line in run.progress.lines if "stopping" in line]
    assert len(said) == (stops < 8)


def test_says_what_was_best(make):
    run = scripted(make, [5, 4, 7, 7, 1], early_stopping={"patience": 2, **DOWN})
    train(run)
    assert "judge/score was best at step 2 (4.0000), 2 evaluations ago: stopping" in (
        run.progress.lines
    )


def test_patience_goes_on_after_a_stop(make):
    script, options = [5, 4, 6, 6, 6, 6, 6, 6], {"early_stopping": {"patience": 4, **DOWN}}
    run = scripted(make, script, **options, save_every=1, keep_checkpoints=9)
    train(run)
    assert run.state.step == 6
    again = scripted(make, script, **options)
    train(again, checkpoints(run.folder)[3])
    assert again.state.step == 6
    assert changed(again, weights(run)) == set()


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({**DOWN}, ["step-000003", "step-000006"]),
        ({**UP}, ["step-000005", "step-000006"]),
        (False, ["step-000006"]),
    ],
)
def test_the_best_stays_beside_the_newest(make, keep, expected):
    run = scripted(make, [5, 4, 1, 4, 9, 4], keep_best=keep, save_every=2)
    train(run)
    assert kept(run) == expected


def test_the_loss_of_the_first_set_unless_told_otherwise(make):
    run = scripted(make, [1] * 6, keep_best=True)
    train(run)
    losses = [line["held-out/loss"] for line in run.state.history if "held-out/loss" in line]
    best = losses.index(min(losses)) + 1
    assert f"step-{best:06d}" in kept(run)
    by_name = scripted(make, [1] * 6, keep_best="held-out/loss")
    assert Best(by_name).kept.metric == "held-out/loss"


def test_the_result_has_the_best_weights(make):
    run = scripted(make, [5, 4, 1, 4, 9, 4], keep_best=DOWN, load_best=True)
    train(run)
    last = weights(run)
    load_best(run)
    assert changed(run, last)
    third = scripted(make, [5, 4, 1, 4, 9, 4], keep_best=DOWN, keep_checkpoints=9, save_every=1)
    train(third)
    from ft.training.checkpoint import load_weights

    load_weights(third, third.folder / "checkpoints" / "step-000003")
    assert changed(run, weights(third)) == set()


def test_early_stopping_and_the_best_go_by_the_same(make):
    run = scripted(make, [5, 4, 1, 4, 9, 4], early_stopping={"patience": 2, **DOWN}, load_best=True)
    train(run)
    assert kept(run) == ["step-000003", "step-000005"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_best": "judge/score"}, "a higher or a lower judge/score is better cannot be known"),
        ({"keep_best": "no/loss"}, "the evaluations have no metric no/loss"),
        ({"early_stopping": {"metric": "x/accuracy"}}, "the evaluations have no metric x/accuracy"),
    ],
)
def test_what_is_not_there_or_not_sure_is_asked_for(make, options, message):
    with pytest.raises(InputError, match=message):
        train(scripted(make, [1, 2], **options))


def test_without_an_evaluation_there_is_no_best(make):
    with pytest.raises(InputError, match="has nothing to evaluate on"):
        train(make("adamw", early_stopping={}))
