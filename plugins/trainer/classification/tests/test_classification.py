import json

import pytest
import torch
from harness import Rows, save, tiny_run, train
from pydantic import ValidationError
from tiny import write_tiny

from ft.api import InputError, Labelled, Message, Origin
from ft_adapter_lora import adapter as lora
from ft_exporter_merged import exporter as merged
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_classification import trainer as classification

CLASSES = ["good", "bad", "neither"]
EXAMPLES = [
    Labelled("It works, and I like it.", "good", origin=Origin("rows.jsonl", 1)),
    Labelled("It came late and broke.", "bad", origin=Origin("rows.jsonl", 2)),
    Labelled("It is a box.", "neither", origin=Origin("rows.jsonl", 3)),
    Labelled([Message("user", "Well?"), Message("assistant", "I like it.")], "good"),
]


class Texts(Rows):
    lengths = property(lambda self: [len(row["text"]) for row in self])


def classes_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    options = {"classes": CLASSES, "steps": 12, "precision": "float32", **options}
    plugins = [
        classification.bind("classification", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        lora.bind("lora"),
        template.bind("smollm2"),
        merged.bind("merged"),
    ]

    def rows(run):
        return Texts(run.hook.ft_encode(run=run, examples=EXAMPLES))

    return tiny_run(folder, plugins, family=family, rows=rows)


def test_an_export_gives_the_classes_that_were_learned(tmp_path):
    from transformers import AutoModelForSequenceClassification

    run = classes_run(tmp_path)
    losses = train(run)
    assert losses[-1] < losses[0] / 2
    folder = save(run)
    assert json.loads((folder / "score.json").read_text())["id2label"]["1"] == "bad"
    out = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    plain = AutoModelForSequenceClassification.from_pretrained(out).eval()
    assert plain.config.id2label == dict(enumerate(CLASSES))
    batch = run.collate([row["text"] for row in run.data])
    with torch.no_grad():
        found = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        run.model.eval()
        loss = run.hook.ft_compute_loss(run=run, model=run.model, batch=run.collate(run.data))
    expected = torch.nn.functional.cross_entropy(found, torch.tensor([0, 1, 2, 0]), reduction="sum")
    assert float(loss.total) == pytest.approx(float(expected), rel=1e-4)
    names = [plain.config.id2label[number] for number in found.argmax(-1).tolist()]
    assert names == [example.label for example in EXAMPLES]


def test_a_long_text_is_cut_and_keeps_its_class(tmp_path):
    from ft.data.prepare import encode_examples

    run = classes_run(tmp_path, max_length=4)
    prepared = encode_examples(run, EXAMPLES)
    assert [len(row["text"]) for row in prepared] == [4] * len(EXAMPLES)
    assert prepared.report.truncated == len(EXAMPLES)


def test_a_class_that_is_not_named_is_refused_with_its_row(tmp_path):
    run = classes_run(tmp_path)
    odd = Labelled("What?", "odd", origin=Origin("rows.jsonl", 9))
    with pytest.raises(InputError, match="'odd' is none of good, bad, neither") as error:
        run.hook.ft_encode(run=run, examples=[odd])
    assert error.value.where == "rows.jsonl row 9"


def test_one_class_is_nothing_to_learn():
    with pytest.raises(ValidationError, match="at least 2"):
        classification.bind("classification", {"classes": ["only"]})
