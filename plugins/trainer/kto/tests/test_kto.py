import math

import pytest
import torch
from harness import Rows, assert_resumes, random_rows, tiny_run, train
from pydantic import ValidationError

from ft.training.batches import updates_of
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_kto import trainer as kto
from ft_trainer_kto.mismatched import mismatched


class Verdicts(Rows):
    lengths = property(lambda self: [len(row["answer"]) for row in self])


def verdicts(count=6):
    rows = random_rows(count)
    return Verdicts({"answer": row, "good": bool(n % 3)} for n, row in enumerate(rows))


def kto_run(folder, adapter=full, **options):
    options = {"batch_size": 6, "steps": 3, "precision": "float32", **options}
    plugins = [
        kto.bind("kto", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        adapter.bind("adapter"),
    ]
    folder.mkdir(exist_ok=True)
    return tiny_run(folder, plugins, rows=verdicts())


def log_prob(model, ids, start):
    """Of the tokens from ``start`` on, from plain logits."""
    ids = torch.tensor([ids])
    with torch.no_grad():
        found = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    return float(found.gather(1, ids[0, 1:, None])[start - 1 :, 0].sum())


def steps_loss(run, pieces):
    """The loss of one step that is cut into micro batches of these sizes."""
    rows = iter(run.data)
    batches = [run.collate([next(rows) for _ in range(size)]) for size in pieces]
    (made,) = updates_of(run, run.model, batches)
    losses = [
        run.hook.ft_compute_loss(run=run, model=run.model, batch=one.batch).total for one in made
    ]
    return float(sum(losses).detach())


def test_the_loss_is_the_papers_however_a_step_is_cut(tmp_path):
    run = kto_run(tmp_path, desirable_weight=1.5, beta=0.2)
    train(run)  # away from the reference
    reference = run.part("trainer").reference._copy
    assert reference is not run.model
    rows = [(list(r["answer"].input_ids), r["good"]) for r in run.data]
    prompt = 4  # of random_rows
    ratios, others = [], []
    for (ids, _), (before, _) in zip(rows, [rows[-1], *rows[:-1]], strict=True):
        wrong = ids[:prompt] + before[prompt:]
        for found, given in ((ratios, ids), (others, wrong)):
            found.append(log_prob(run.model, given, prompt) - log_prob(reference, given, prompt))
    point = max(0.0, sum(others) / len(others))
    assert point > 0.01
    expected = 0.0
    for ratio, (_, good) in zip(ratios, rows, strict=True):
        gain = 0.2 * (ratio - point) * (1 if good else -1)
        expected += (1.5 if good else 1.0) * (1 - 1 / (1 + math.exp(-gain)))
    for pieces in ([6], [2, 2, 2], [3, 1, 2], [1] * 6):
        # the gains are large by now, and what they leave of the loss is small
        assert steps_loss(run, pieces) == pytest.approx(expected, rel=1e-3), pieces


def test_apo_has_no_reference_point(tmp_path):
    run = kto_run(tmp_path, loss="apo_zero_unpaired")
    train(run)
    assert all(line["kl"] == 0 for line in run.state.history if "kl" in line)


def test_each_prompt_gets_the_answer_before(tmp_path):
    run = kto_run(tmp_path)
    rows = [row["answer"] for row in run.data]
    made = mismatched([run.collate(rows[:2]), run.collate(rows[2:])], 0, 64)
    found = []
    for batch in made:
        for ids, mask, weights in zip(
            batch["input_ids"], batch["attention_mask"], batch["weights"], strict=True
        ):
            found.append(ids[mask.bool()].tolist())
            assert weights[mask.bool()].tolist() == [0.0] * 4 + [1.0] * (len(found[-1]) - 4)
    before = [rows[-1], *rows[:-1]]
    assert found == [
        [*own.input_ids[:4], *other.input_ids[4:]] for own, other in zip(rows, before, strict=True)
    ]
    assert mismatched([run.collate(rows[:1])], 0, 64) == []


def test_a_resumed_run_keeps_the_reference(tmp_path):
    assert_resumes(lambda: kto_run(tmp_path, lora, steps=4, save_every=2, keep_checkpoints=9), 2)


def test_one_answer_in_a_step_is_refused():
    with pytest.raises(ValidationError, match="batch_size 2 or more"):
        kto.bind("kto", {"batch_size": 1})
