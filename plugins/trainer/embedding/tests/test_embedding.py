import math

import pytest
import torch
from harness import Rows, tiny_run, train
from tiny import write_tiny

from ft.api import InputError, Origin, Similar
from ft.conformance.bench import gradients
from ft_adapter_full import adapter as full
from ft_model_smollm2 import family
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_embedding import trainer as embedding

EXAMPLES = [
    Similar("Who are you?", "A small model.", ["It is late.", "No."]),
    Similar("What is the capital of France?", "Paris is the capital.", ["Berlin.", "A model."]),
    Similar("Who jumps?", "The quick brown fox.", ["The lazy dog.", "Nobody, I think."]),
    Similar("Count to three.", "One, two, three.", ["Four.", "I cannot."]),
]


class Texts(Rows):
    lengths = property(lambda self: [len(row["anchor"]) for row in self])


def texts_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        embedding.bind("embedding", {"steps": 6, "precision": "float32", **options}),
        adamw.bind("adamw", {"learning_rate": 3e-3}),
        full.bind("full"),
    ]

    def rows(run):
        return Texts(run.hook.ft_encode(run=run, examples=EXAMPLES))

    return tiny_run(folder, plugins, family=family, rows=rows)


def embedded(run, row, pooling):
    with torch.no_grad():
        ids = torch.tensor([list(row.input_ids)])
        states = run.model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
    # the tokenizer's padding is its end token, so the last one is that of the text
    real = states if pooling == "mean" else states[[-2 if ids[0, -1] == run.pad_id else -1]]
    found = real.mean(0)
    return found / found.norm()


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_the_loss_is_infonce(tmp_path, pooling):
    run = texts_run(tmp_path, pooling=pooling, negatives=2, temperature=0.2)
    columns = ["positive", "negative_0", "negative_1"]
    anchors = [embedded(run, row["anchor"], pooling) for row in run.data]
    others = [embedded(run, row[name], pooling) for name in columns for row in run.data]
    expected = 0.0
    for place, anchor in enumerate(anchors):
        likes = [math.exp(float(anchor @ other) / 0.2) for other in others]
        expected -= math.log(likes[place] / sum(likes))
    run.model.eval()
    found = run.hook.ft_compute_loss(run=run, model=run.model, batch=run.collate(run.data)).total
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)


def test_a_step_in_pieces_has_the_gradient_of_the_whole(tmp_path):
    run = texts_run(tmp_path, negatives=1)
    rows = list(run.data)
    whole = gradients(run, [rows])
    pieces = gradients(run, [rows[:2], rows[2:3], rows[3:]])
    assert pieces[0] == pytest.approx(whole[0], rel=1e-5)
    for name, gradient in whole[1].items():
        torch.testing.assert_close(pieces[1][name], gradient, rtol=1e-3, atol=5e-5)


def test_pairs_come_closer_than_others(tmp_path):
    losses = train(texts_run(tmp_path, steps=8, batch_size=4, micro_batch_size=2))
    assert losses[-1] < 0.9 * losses[0]


def test_a_row_with_too_few_negatives_is_refused(tmp_path):
    run = texts_run(tmp_path)
    odd = Similar("a", "b", ["c"], origin=Origin("texts.jsonl", 4))
    with pytest.raises(InputError, match="1 negatives, and trainer") as error:
        embedding.bind("embedding", {"negatives": 2}).ft_encode(run, [odd])
    assert error.value.where == "texts.jsonl row 4"
