import math

import pytest
import torch
from harness import Rows, save, tiny_run, train
from tiny import write_tiny

from ft.api import InputError, Message, Origin, Preference
from ft_adapter_lora import adapter as lora
from ft_exporter_merged import exporter as merged
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_reward import trainer as reward

ANSWERS = ("Paris.", "I do not know.", "It is Paris, the capital of France.", "London, I think.")


def pairs(margin=None):
    return [
        Preference(
            [Message("user", "What is the capital of France?")],
            [Message("assistant", ANSWERS[number])],
            [Message("assistant", ANSWERS[number - 1])],
            margin=margin,
            origin=Origin("pairs.jsonl", number + 1),
        )
        for number in range(0, 4, 2)
    ]


class PairRows(Rows):
    lengths = property(lambda self: [len(row["chosen"]) for row in self])


def reward_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        reward.bind("reward", {"steps": 3, "precision": "float32", **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        lora.bind("lora"),
        template.bind("smollm2"),
        merged.bind("merged"),
    ]

    def rows(run):
        return PairRows(run.hook.ft_encode(run=run, examples=pairs()))

    return tiny_run(folder, plugins, family=family, rows=rows)


def scores(run, ids):
    """By the last hidden state of the whole model, and the head's matrix."""
    run.model.eval()
    with torch.no_grad():
        found = run.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return float(found.hidden_states[-1][0, -1] @ run.modules["score"].weight[0].detach())


def test_the_loss_is_that_of_bradley_and_terry(tmp_path):
    run = reward_run(tmp_path)
    train(run)
    run.model.eval()
    expected = {False: 0.0, True: 0.0}
    for row in run.data:
        chosen, rejected = (scores(run, list(row[s].input_ids)) for s in ("chosen", "rejected"))
        for margin in expected:
            logit = chosen - rejected - (0.7 if margin else 0.0)
            expected[margin] += math.log1p(math.exp(-logit)) + 0.05 * (chosen + rejected) ** 2
    for margin, wanted in expected.items():
        made = reward.bind("reward", {"margin": margin, "centering": 0.05})
        rows = made.ft_encode(run, pairs(0.7))
        assert ("margin" in rows[0]) == margin
        found = made.ft_compute_loss(run, run.model, run.collate(rows)).total
        assert float(found.detach()) == pytest.approx(wanted, rel=1e-4)


def test_an_export_is_a_classifier_with_the_same_scores(tmp_path):
    from transformers import AutoModelForSequenceClassification

    run = reward_run(tmp_path)
    losses = train(run)
    assert losses[-1] < losses[0]
    save(run)
    folder = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert plain.config.num_labels == 1
    assert type(plain).__name__ in plain.config.architectures
    batch = run.collate([row["chosen"] for row in run.data])  # of two lengths, so one is padded
    with torch.no_grad():
        found = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = [scores(run, list(row["chosen"].input_ids)) for row in run.data]
    assert found[:, 0].tolist() == pytest.approx(expected, abs=1e-4)


def test_the_output_layer_is_left_alone(tmp_path):
    run = reward_run(tmp_path)
    head = run.model.get_output_embeddings()
    tied = head.weight is run.model.get_input_embeddings().weight
    assert tied or not head.weight.requires_grad


def test_a_row_without_the_margin_that_is_asked_for_is_refused(tmp_path):
    run = reward_run(tmp_path)
    with pytest.raises(InputError, match="has no margin") as error:
        reward.bind("reward", {"margin": True}).ft_encode(run, pairs())
    assert error.value.where == "pairs.jsonl row 1"
