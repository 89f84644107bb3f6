"""Corner: a trainer that brings a training loop of its own."""

from __future__ import annotations

from types import SimpleNamespace

from harness import assert_resumes, random_rows, tiny_run, train

from ft.api import Trainer, hookimpl
from ft.cli.train import _print_outcome
from ft.pipeline.report import write_report
from ft.training.checkpoint import checkpoints
from ft_adapter_lora import adapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import SFT


class OwnLoop(SFT):
    """Takes one row at a time, in their order."""

    class Options(SFT.Options):
        silent: bool = False

    @hookimpl
    def ft_train(self, run, model):
        state = run.state
        while state.step < state.total_steps and not (state.stop or state.interrupted):
            batch = run.collate([run.data[state.step % len(run.data)]])
            loss = run.hook.ft_compute_loss(run=run, model=model, batch=batch).total
            loss.backward()
            run.optimizer.step()
            run.optimizer.zero_grad()
            state.step += 1
            state.tokens += batch["input_ids"].numel()
            if self.options.silent:
                continue
            run.report("rows", 1)
            run.tell_step({"loss": loss.item()})
            if state.step % 2 == 0:
                run.evaluate(model)
                run.save_checkpoint()
        return True


def make(folder, **options):
    options = {"precision": "float32", "steps": 4, "keep_checkpoints": 9} | options
    plugins = [OwnLoop().bind("own", options), optimizer.bind("adamw"), adapter.bind("lora")]
    run = tiny_run(folder, plugins)
    run.eval_data["held-out"] = random_rows(2)
    return run


def test_it_is_told_measured_and_saved_as_cores_is(tmp_path):
    run = make(tmp_path)
    assert len(train(run)) == 4
    line = run.state.history[0]
    assert line["rows"] == 1
    assert {"step", "epoch", "tokens", "tokens_per_second", "memory", "seconds"} <= line.keys()
    assert sum("held-out/loss" in line for line in run.state.history) == 2
    assert [path.name for path in checkpoints(run.folder)] == ["step-000002", "step-000004"]


def test_it_resumes(tmp_path):
    assert_resumes(lambda: make(tmp_path), 2)


def test_a_run_without_history_is_reported(tmp_path, capsys):
    run = make(tmp_path, silent=True)
    assert train(run) == []
    run.data.report = SimpleNamespace(as_dict=dict)
    write_report(run, SimpleNamespace(source="tiny"))
    assert "loss.png" not in (run.folder / "report.md").read_text()
    _print_outcome(run, as_json=False)
    assert "done: 4 steps" in capsys.readouterr().out


class Nothing(Trainer):
    """Trains by other means, without an optimizer of ft's."""

    needs = frozenset()

    @hookimpl
    def ft_train(self, run, model):
        run.state.step = 1
        run.save_checkpoint()
        return True


def test_a_checkpoint_needs_no_optimizer(tmp_path):
    made = [tiny_run(tmp_path, [Nothing().bind("nothing"), adapter.bind("lora")]) for _ in "ab"]
    train(made[0])
    (saved,) = checkpoints(made[0].folder)
    train(made[1], saved)
    assert made[1].state.step == 1
