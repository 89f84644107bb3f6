from collections import defaultdict
from types import SimpleNamespace

import pydantic
import pytest
import torch
from harness import assert_resumes, changed, train, weights
from online import PROMPTS, online_run

from ft.api import Reward, RunError, hookimpl
from ft.training.evaluate import evaluate
from ft_adapter_lora import adapter as lora
from ft_trainer_grpo import trainer as grpo

LENGTHS = (3, 5, 2, 4)


# -- the loss, against TRL's -------------------------------------------------------------------


def loss_of(log_probs, mask, advantages, sampled, reference, **options):
    """Our loss of padded log-probabilities, divided by its units, and its gradient."""
    plugin = grpo.bind("grpo", {"max_new_tokens": 8, "updates": 2, **options})
    flat = log_probs[mask].detach().requires_grad_()
    documents = torch.arange(len(mask))[:, None].expand_as(mask)[mask]
    tokens = SimpleNamespace(documents=documents, outputs=None)
    plugin.log_probs = lambda *_: (flat, tokens)
    batch = {
        "tokens": {"weights": mask.float()},
        "advantage": advantages,
        "sampled": sampled[mask],
        "reference": reference[mask],
    }
    total = plugin.ft_compute_loss(run=None, model=None, batch=batch).total
    loss = total / plugin.ft_count_units(batch=batch)
    loss.backward()
    return loss.detach(), flat.grad


def trls_loss(log_probs, mask, advantages, sampled, reference, **settings):
    """TRL's, of the same."""
    from trl import GRPOTrainer

    values = log_probs.detach().clone().requires_grad_()
    defaults = {"importance_sampling_level": "token", "epsilon_low": 0.2, "epsilon_high": 0.2}
    one = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x)
    owner = SimpleNamespace(
        **{**defaults, **settings},
        _get_per_token_logps_and_entropies=lambda *_, **__: (values, values.detach(), None),
        top_entropy_quantile=1.0,
        aux_loss_enabled=False,
        off_policy_mask_threshold=None,
        use_vllm=False,
        model=SimpleNamespace(training=False),
        max_completion_length=8,
        _entropy_bonus_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        accelerator=one,
        args=SimpleNamespace(
            delta=None,
            use_bias_correction_kl=False,
            sapo_temperature_pos=1.0,
            sapo_temperature_neg=1.05,
        ),
    )
    ids = torch.zeros(len(mask), 1, dtype=torch.long)
    inputs = {
        "prompt_ids": ids,
        "prompt_mask": ids,
        "completion_ids": mask.long(),
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_per_token_logps": sampled,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    loss = GRPOTrainer._compute_loss(owner, None, inputs)
    loss.backward()
    return loss.detach(), values.grad[mask]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"aggregation": "grpo"}, {"loss_type": "grpo"}),
        ({"aggregation": "token", "clip_high": 0.28}, {"loss_type": "dapo", "epsilon_high": 0.28}),
        ({"aggregation": "dr_grpo"}, {"loss_type": "dr_grpo"}),
        (
            {"aggregation": "grpo", "importance": "sequence", "clip_low": 0.05, "clip_high": 0.2},
            {
                "loss_type": "grpo",
                "importance_sampling_level": "sequence",
                "epsilon_low": 0.05,
            },
        ),
        ({"loss": "cispo", "clip_high": 0.1}, {"loss_type": "cispo", "epsilon_high": 1.1}),
        ({"loss": "sapo", "aggregation": "grpo"}, {"loss_type": "sapo"}),
    ],
    ids=["grpo", "dapo", "dr_grpo", "gspo", "cispo", "sapo"],
)
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_the_loss_and_its_gradient_are_trls(ours, theirs, beta):
    torch.manual_seed(0)
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    log_probs, *noise = (torch.randn(3, *mask.shape) / 4).unbind()
    given = (log_probs - 1, mask, torch.tensor([1.0, -0.5, 0.3, -0.8]))
    given = (*given, given[0] + noise[0], given[0] + noise[1])
    found, gradient = loss_of(*given, beta=beta, **ours)
    expected, wanted = trls_loss(*given, beta=beta, **theirs)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-6)


# -- runs ----------------------------------------------------------------------------------------


VARIANT = {"beta": 0.1, "updates": 2, "importance": "sequence", "aggregation": "grpo"}


def test_it_resumes_with_a_reference_and_several_updates(tmp_path):
    def make():
        adapter = lora.bind("lora", {"rank": 2})
        options = {**VARIANT, "generations": 2, "dynamic_sampling": 1}
        return online_run(tmp_path, grpo, options, adapter=adapter)

    assert_resumes(make, 2)


def test_a_divergence_is_none_at_first_and_some_later(tmp_path):
    run = online_run(tmp_path, grpo, {"beta": 0.1, "steps": 3, "answers_per_pass": 8})
    train(run)
    apart = [line["kl"] for line in run.state.history]
    assert apart[0] == pytest.approx(0, abs=1e-6)
    assert apart[-1] > 1e-3


def test_how_answers_are_divided_changes_nothing(tmp_path):
    whole, pieces = (
        train(online_run(tmp_path, grpo, {"steps": 1, "answers_per_pass": size, "generations": 4}))
        for size in (None, 3)
    )
    assert whole == pytest.approx(pieces, abs=1e-5)


def test_evaluation_scores_answers(tmp_path):
    run = online_run(tmp_path, grpo)
    run.eval_data["held-out"] = run.data
    found = evaluate(run, run.model)
    assert 0 <= found["held-out/reward"] <= 1
    assert found["held-out/reward/letters"] == found["held-out/reward"]


# -- rewards -------------------------------------------------------------------------------------


class Given(Reward):
    """Scores from a list, over and over."""

    scores: tuple = ()

    def __init__(self, *scores):
        self.scores = scores

    @hookimpl
    def ft_score(self, conversations):
        return [self.scores[i % len(self.scores)] for i in range(len(conversations))]


def roll_out(folder, *rewards, **options):
    run = online_run(
        folder, grpo, {"generations": 2, **options}, rewards=rewards, examples=PROMPTS[:1]
    )
    return run, run.part("trainer").roll_out(run, run.collate(list(run.data)))


def test_scores_are_added_up_by_weight(tmp_path):
    both = Given(1, 0).bind("a", {"weight": 2}), Given(0.5, 0.25).bind("b")
    run, rollouts = roll_out(tmp_path, *both)
    assert [rollout.reward for rollout in rollouts] == [2.5, 0.25]
    assert run.reported["reward/b"] == (0.75, 2)


def test_what_could_not_be_scored_teaches_nothing(tmp_path):
    _, rollouts = roll_out(tmp_path, Given(1, None).bind("a"), Given(1).bind("b"))
    assert [rollout.counts for rollout in rollouts] == [True, False]
    assert rollouts[1].tokens().weights == [0.0] * len(rollouts[1].tokens())


def test_a_step_in_which_nothing_could_be_scored_teaches_nothing(tmp_path):
    run = online_run(tmp_path, grpo, {"steps": 1}, rewards=[Given(None).bind("a")])
    before = weights(run)
    assert train(run) == [0]
    assert changed(run, before) == set()
    assert any("could not score 32 of 32 answers" in line for line in run.progress.lines)


def test_a_reward_that_has_nothing_to_say_is_left_out(tmp_path):
    _, rollouts = roll_out(tmp_path, Given(None).bind("a"), Given(1, 2).bind("b"))
    assert [rollout.reward for rollout in rollouts] == [1, 2]


def test_long_answers_are_worth_less(tmp_path):
    run, rollouts = roll_out(
        tmp_path, Given(1).bind("a"), max_new_tokens=6, overlong_buffer=4, overlong_penalty=2
    )
    rollouts[0].answer.token_ids = [1] * 5
    assert run.part("trainer")._shaped(rollouts[0]) == 1 - 2 * 3 / 4


def test_prompts_that_teach_nothing_are_replaced(tmp_path):
    """All answers score alike: others are drawn, and in the end nothing is learned."""
    run = online_run(
        tmp_path,
        grpo,
        {"generations": 2, "dynamic_sampling": 1, "steps": 1},
        rewards=[Given(1).bind("a")],
        examples=PROMPTS[:2],
    )
    trainer = run.part("trainer")
    asked = run.collate([run.data[0]])
    found = trainer._informative(run, asked, trainer.roll_out(run, asked), training=True)
    assert run.reported["answer_length"][1] == 4  # answered twice
    assert not any(rollout.counts for rollout in found)


# -- the engine ----------------------------------------------------------------------------------


class Stale(type(grpo)):
    """As if its engine sampled from another policy."""

    def roll_out(self, run, asked):
        rollouts = super().roll_out(run, asked)
        for rollout in rollouts:
            answer = rollout.answer
            if answer.log_probs is not None:
                answer.log_probs = [p - 0.5 for p in answer.log_probs]
        return rollouts


@pytest.mark.parametrize("options", [{}, {"temperature": 0.7}])
def test_engine_and_trainer_agree(tmp_path, options):
    adapter = lora.bind("lora", {"rank": 2, "dropout": 0.5})
    train(
        online_run(
            tmp_path, grpo, {"steps": 2, "engine_tolerance": 1e-4, **options}, adapter=adapter
        )
    )


def test_an_engine_with_other_weights_is_found_out(tmp_path):
    with pytest.raises(RunError, match=r"disagree by 0\.5 in the log-probability of a token"):
        train(online_run(tmp_path, Stale(), {"steps": 1}))


def test_options_without_sense_are_refused():
    for options in ({"generations": 1}, {"overlong_buffer": 9, "max_new_tokens": 8}):
        with pytest.raises(pydantic.ValidationError):
            grpo.bind("grpo", options)
