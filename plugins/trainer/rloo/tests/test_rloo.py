import torch
from harness import assert_resumes, train
from online import online_run

from ft_adapter_lora import adapter as lora
from ft_trainer_rloo import trainer as rloo


def test_the_gradient_is_that_of_reinforce(tmp_path):
    """One step on fresh answers: -advantage x grad log p of each whole answer, over answers."""
    run = online_run(tmp_path, rloo, {"beta": 0.0})
    trainer = run.part("trainer")
    (batch,) = next(iter(trainer.ft_make_batches(run, run.model, [run.collate(list(run.data))])))
    advantage = batch["advantage"]
    assert torch.allclose(advantage.reshape(-1, 4).sum(1), torch.zeros(4), atol=1e-6)
    assert advantage.abs().max() > 0
    head = run.model.get_output_embeddings().weight

    loss = trainer.ft_compute_loss(run, run.model, batch).total
    (found,) = torch.autograd.grad(loss, head)

    ids, weights = batch["tokens"]["input_ids"], batch["tokens"]["weights"]
    logits = run.model(input_ids=ids, attention_mask=batch["tokens"]["attention_mask"]).logits
    each = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    (wanted,) = torch.autograd.grad(-((each * weights[:, 1:]).sum(-1) * advantage).sum(), head)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_the_divergence_is_part_of_the_reward(tmp_path):
    run = online_run(tmp_path, rloo, {"beta": 0.5, "steps": 3, "answers_per_pass": 5})
    train(run)
    trainer = run.part("trainer")
    run.model.eval()
    batches = next(iter(trainer.ft_make_batches(run, run.model, [run.collate(list(run.data))])))
    assert [len(batch["reward"]) for batch in batches] == [5, 5, 5, 1]
    rewards = torch.cat([batch["reward"] for batch in batches])
    assert (rewards > 1).any() or (rewards < 0).any()  # the score alone is between 0 and 1


def test_it_resumes(tmp_path):
    def make():
        adapter = lora.bind("lora", {"rank": 2})
        return online_run(tmp_path, rloo, {"updates": 2, "generations": 2}, adapter=adapter)

    assert_resumes(make, 2)
