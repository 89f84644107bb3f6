from harness import random_rows, tiny_run, train

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_tracker_tensorboard import tracker as tensorboard
from ft_trainer_sft import trainer as sft


def test_event_files_hold_training_and_evaluation(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plugins = [
        full.bind("full"),
        adamw.bind("adamw"),
        sft.bind("sft", {"steps": 3, "precision": "float32"}),
        tensorboard.bind("tensorboard", {"folder": str(tmp_path / "events")}),
    ]
    run = tiny_run(tmp_path, plugins)
    run.eval_data["held-out"] = random_rows(2)
    losses = train(run)
    run.selection.notify("ft_run_finished", run=run)
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    written = [event.value for event in events.Scalars("train/loss")]
    assert [round(value, 4) for value in written] == [round(loss, 4) for loss in losses]
    assert "eval/held-out/loss" in events.Tags()["scalars"]
