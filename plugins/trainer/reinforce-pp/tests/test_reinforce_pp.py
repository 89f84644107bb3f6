import pytest
import torch
from harness import assert_resumes
from online import online_run

from ft.api.policy import last_of_each
from ft_adapter_lora import adapter as lora
from ft_trainer_reinforce_pp import trainer as reinforce_pp


def batches_of(folder, **options):
    run = online_run(folder, reinforce_pp, options)
    trainer = run.part("trainer")
    return next(iter(trainer.ft_make_batches(run, run.model, [run.collate(list(run.data))])))


@pytest.mark.parametrize("options", [{"beta": 0.0}, {"beta": 0.0, "baseline": True}])
def test_tokens_of_an_answer_share_what_it_is_worth(tmp_path, options):
    """Without a divergence the return of each token is the answer's reward, whitened."""
    batches = batches_of(tmp_path, generations=4, answers_per_pass=7, **options)
    assert [len(batch["reward"]) for batch in batches] == [7, 7, 2]
    rewards = torch.cat([batch["reward"] for batch in batches])
    if options.get("baseline"):
        rewards = (rewards.reshape(-1, 4) - rewards.reshape(-1, 4).mean(1, keepdim=True)).flatten()
    lengths = torch.cat([batch["tokens"]["weights"].sum(-1) for batch in batches]).long()
    flat = rewards.repeat_interleave(lengths)
    expected = (flat - flat.mean()) / (flat.std() + 1e-4)
    found = torch.cat([batch["advantage"] for batch in batches])
    torch.testing.assert_close(found, expected)


def test_a_divergence_is_taken_off_token_by_token(tmp_path, monkeypatch):
    """With a reference that is sure by 1 nat less, early tokens have more of it ahead."""

    def reference(self, run, model, batch):
        return self.measured(run, model, batch) - 1

    monkeypatch.setattr(type(reinforce_pp), "reference_log_probs", reference)
    (batch,) = batches_of(tmp_path, beta=10.0)
    documents = (batch["tokens"]["predicts"] + 1) // batch["tokens"]["input_ids"].shape[1]
    steps = batch["advantage"][1:] - batch["advantage"][:-1]
    inside = ~last_of_each(documents)[:-1]
    assert (steps[inside] > 0).all()
    assert steps[inside].std() < 1e-4


def test_it_resumes(tmp_path):
    def make():
        adapter = lora.bind("lora", {"rank": 2})
        return online_run(tmp_path, reinforce_pp, {"updates": 2}, adapter=adapter)

    assert_resumes(make, 2)
