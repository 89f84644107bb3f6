import math

import pytest
import torch
from harness import Rows, save, tiny_run, train
from tiny import write_tiny

from ft.api import InputError, Message, Origin, Stepwise
from ft_adapter_lora import adapter as lora
from ft_exporter_merged import exporter as merged
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_process_reward import trainer as process_reward

EXAMPLES = [
    Stepwise([Message("user", "What is 2 + 3?")], ["2 + 3 is 5.", "So it is 6."], [1.0, 0.25]),
    Stepwise([Message("user", "And 1?")], ["One.", "It is one", "So one."], [0.0, 1.0, 1.0]),
]


class Steps(Rows):
    lengths = property(lambda self: [len(row["steps"]) for row in self])


def steps_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        process_reward.bind("prm", {"steps": 10, "precision": "float32", **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        lora.bind("lora"),
        template.bind("smollm2"),
        merged.bind("merged"),
    ]

    def rows(run):
        return Steps(run.hook.ft_encode(run=run, examples=EXAMPLES))

    return tiny_run(folder, plugins, family=family, rows=rows)


@pytest.mark.parametrize("train_on", ["all", "last"])
def test_a_step_is_judged_where_its_separator_ends(tmp_path, train_on):
    run = steps_run(tmp_path, train_on=train_on)
    for example, row in zip(EXAMPLES, run.data, strict=True):
        ids, weights = list(row["steps"].input_ids), list(row["steps"].weights)
        pieces, start = [], 0
        for place, weight in enumerate(weights):
            if weight:
                pieces.append(run.tokenizer.decode(ids[start : place + 1]))
                start = place + 1
        assert start == len(ids)
        if train_on == "last":
            assert len(pieces) == 1
            assert pieces[0].endswith("\n\n".join(example.steps) + "\n\n")
        else:
            assert pieces[1:] == [f"{step}\n\n" for step in example.steps[1:]]
            assert pieces[0].endswith(f"<|im_start|>assistant\n{example.steps[0]}\n\n")


def test_the_loss_is_cross_entropy_and_the_export_scores_tokens(tmp_path):
    from transformers import AutoModelForTokenClassification

    run = steps_run(tmp_path)
    losses = train(run)
    assert losses[-1] < losses[0]
    save(run)
    out = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    plain = AutoModelForTokenClassification.from_pretrained(out).eval()
    run.model.eval()
    expected = 0.0
    for example, row in zip(EXAMPLES, run.data, strict=True):
        with torch.no_grad():
            scores = plain(input_ids=torch.tensor([list(row["steps"].input_ids)])).logits[0, :, 0]
        ends = [place for place, weight in enumerate(row["steps"].weights) if weight]
        for place, verdict in zip(ends, example.verdicts, strict=True):
            right = 1 / (1 + math.exp(-float(scores[place])))
            expected -= verdict * math.log(right) + (1 - verdict) * math.log(1 - right)
    batch = run.collate(run.data)
    assert run.hook.ft_count_units(run=run, batch=batch) == 5
    found = run.hook.ft_compute_loss(run=run, model=run.model, batch=batch).total
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_a_step_without_a_verdict_is_refused_with_its_row(tmp_path):
    run = steps_run(tmp_path)
    odd = Stepwise([Message("user", "?")], ["a", "b"], [1.0], origin=Origin("steps.jsonl", 3))
    with pytest.raises(InputError, match="2 steps and 1 verdicts") as error:
        run.hook.ft_encode(run=run, examples=[odd])
    assert error.value.where == "steps.jsonl row 3"
