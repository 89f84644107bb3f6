import pytest
import torch
from harness import assert_resumes, changed, save, train, weights
from online import online_run
from safetensors.torch import load_file

from ft.api import Reward, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_lora import adapter as lora
from ft_trainer_ppo import trainer as ppo


def make(folder, **options):
    adapter = lora.bind("lora", {"rank": 2, "dropout": 0.1})
    return online_run(folder, ppo, {"updates": 2, **options}, adapter=adapter)


def test_policy_and_value_model_move_and_nothing_else(tmp_path):
    run = make(tmp_path)
    before = weights(run)
    train(run)
    moved = changed(run, before)
    assert moved == {name for name, _ in run.trainable()}
    assert any(".value." in name for name in moved)
    assert any(name.startswith("value_head.") for name in moved)
    folder = save(run)
    assert (folder / "value" / "adapter_model.safetensors").is_file()
    assert load_file(folder / "value_head.safetensors").keys() == {"weight", "bias"}


class One(Reward):
    """Every answer is worth 1."""

    @hookimpl
    def ft_score(self, conversations):
        return [1.0] * len(conversations)


def test_the_value_model_learns_what_to_expect(tmp_path):
    run = online_run(
        tmp_path,
        ppo,
        {
            "steps": 10,
            "updates": 1,
            "beta": 0.0,
            "gae_lambda": 1.0,
            "value_clip": None,
            "value_weight": 1.0,
        },
        adapter=lora.bind("lora", {"rank": 2}),
        rewards=[One().bind("one")],
    )
    train(run)
    losses = [line["value_loss"] for line in run.state.history]
    assert losses[0] == pytest.approx(0.5, abs=0.01)  # half of (0 - 1)^2
    assert losses[-1] < 0.2


class Nothing(Reward):
    """Cannot say."""

    @hookimpl
    def ft_score(self, conversations):
        return [None] * len(conversations)


def test_a_step_in_which_nothing_could_be_scored_goes_by(tmp_path):
    run = online_run(
        tmp_path,
        ppo,
        {"steps": 1, "updates": 1, "kl_target": 1.0},
        adapter=lora.bind("lora", {"rank": 2}),
        rewards=[Nothing().bind("nothing")],
    )
    assert train(run) == [0]


def test_it_resumes_with_an_adapted_beta(tmp_path):
    assert_resumes(lambda: make(tmp_path, kl_target=0.1, kl_horizon=20), 2)


def test_beta_falls_while_the_policy_is_near(tmp_path):
    run = make(tmp_path, kl_target=6.0, kl_horizon=4, beta=0.5, steps=1)
    train(run)
    # at the start there is no divergence: the error is cut at -0.2, for 4 of 4 answers
    assert run.part("trainer").beta == pytest.approx(0.5 * 0.8)
    assert run.state.history[0]["kl"] == pytest.approx(0, abs=1e-6)


def test_value_losses():
    given = (torch.tensor([1.0, 0.1]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]))
    clipped = ppo.bind("ppo", {"value_clip": 0.2}).value_losses(*given)
    torch.testing.assert_close(clipped, torch.tensor([0.8**2 / 2, 0.9**2 / 2]))
    free = ppo.bind("ppo", {"value_clip": None}).value_losses(*given)
    torch.testing.assert_close(free, torch.tensor([0.0, 0.9**2 / 2]))


def test_a_head_alone_goes_with_the_whole_model(tmp_path):
    whole = online_run(tmp_path, ppo, {"value": "head", "updates": 1, "steps": 2})
    assert misfits(whole.parts()) == []
    train(whole)
    shared = online_run(tmp_path, ppo, {"value": "adapter"}, adapter=lora.bind("lora"))
    assert misfits(shared.parts()) == []


def test_the_whole_model_has_no_second_adapter():
    from ft_adapter_full import adapter as full

    found = misfits([ppo.bind("ppo"), full.bind("full")])
    assert "switchable-adapter" in {misfit.capability for misfit in found}
