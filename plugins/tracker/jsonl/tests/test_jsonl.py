import json

from harness import tiny_run, train

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_tracker_jsonl import tracker as jsonl
from ft_trainer_sft import trainer as sft


def jsonl_run(folder):
    options = {"steps": 4, "precision": "float32"}
    plugins = [
        full.bind("full"),
        adamw.bind("adamw"),
        sft.bind("sft", options),
        jsonl.bind("jsonl"),
    ]
    return tiny_run(folder, plugins)


def test_a_line_is_what_the_run_remembers(tmp_path):
    run = jsonl_run(tmp_path)
    train(run)
    file = run.folder / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == run.state.history
