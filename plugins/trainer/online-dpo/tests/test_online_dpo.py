import pytest
import torch
from harness import assert_resumes, train
from online import online_run

from ft.api import Answer, Encoded, Message, Prompt, Rollout
from ft_adapter_lora import adapter as lora
from ft_trainer_online_dpo import trainer as online_dpo


def rollout(reward, finished=True, counts=True):
    answer = Answer("a", [5, 6], finished, Message("assistant", "a"))
    return Rollout(Encoded([1], [0.0]), Prompt([]), answer, {}, reward, counts)


def test_the_best_and_the_worst_make_the_pair():
    plugin = online_dpo.bind("online-dpo", {"generations": 3, "unfinished_penalty": 2})
    group = [rollout(1), rollout(2, finished=False), rollout(3)]
    alike = [rollout(1), rollout(1), rollout(9, counts=False)]
    pairs = plugin._pairs([*group, *alike])
    assert [r.reward for r in pairs[0]] == [3, 2]
    assert [one.counts for one in pairs[1]] == [False, False]


@pytest.mark.parametrize(("loss", "expected"), [("sigmoid", 0.6931), ("ipo", 25.0)])
def test_the_first_loss_is_that_of_no_margin(tmp_path, loss, expected):
    run = online_run(tmp_path, online_dpo, {"steps": 1, "loss": loss})
    assert train(run) == [pytest.approx(expected, abs=1e-3)]
    assert 0 < run.state.history[0]["pairs"] <= 1


def test_the_loss_is_that_of_the_paper(tmp_path):
    """Against log-probabilities of the policy and the reference, worked out apart."""
    run = online_run(tmp_path, online_dpo, {"steps": 2, "answers_per_pass": 3})
    train(run)
    trainer = run.part("trainer")
    run.model.eval()
    batches = next(iter(trainer.ft_make_batches(run, run.model, [run.collate(list(run.data))])))
    assert [len(batch["tokens"]["input_ids"]) for batch in batches] == [2] * 4
    for batch in batches:
        ids, weights = batch["tokens"]["input_ids"], batch["tokens"]["weights"]
        sums = []
        for model in (run.model, trainer.reference._copy):
            with torch.no_grad():
                logits = model(input_ids=ids, attention_mask=batch["tokens"]["attention_mask"])
            each = logits.logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
            sums.append((each * weights[:, 1:]).sum(-1))
        policy, reference = sums
        margin = (policy[0] - reference[0]) - (policy[1] - reference[1])
        expected = -torch.nn.functional.logsigmoid(0.1 * margin) * (weights[0].sum() > 0)
        found = trainer.ft_compute_loss(run, run.model, batch).total
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_it_resumes(tmp_path):
    def make():
        return online_run(tmp_path, online_dpo, adapter=lora.bind("lora", {"rank": 2}))

    assert_resumes(make, 2)
