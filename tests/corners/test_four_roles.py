"""Corner: a trainer with four roles over one base, by switching adapters (PPO, 1707.06347)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from harness import assert_resumes, changed, save, tiny_run, train, weights
from safetensors.torch import load_file, save_file

from ft.api import Loss, Trainer, TrainerOptions, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer


class MiniPPO(Trainer):
    """One policy-gradient step on each row, with a learned value and a frozen reward model.

    The policy is the run's own adapter, the reference the base with no adapter, the value
    model a second adapter with a head, the reward model a third one from ``reward``.
    """

    needs = frozenset({"switchable-adapter"})
    # recomputed activations would be those of whichever role ran last
    accepts = Trainer.accepts - {"gradient-checkpointing"}

    class Options(TrainerOptions):
        reward: str
        kl: float = 0.1

    @hookimpl
    def ft_add_modules(self, run, model):
        run.add_adapter("value")
        run.add_adapter("reward", Path(self.options.reward))
        width = run.config.hidden_size
        self.reward_head = torch.nn.Linear(width, 1, bias=False).requires_grad_(False)
        self.reward_head.load_state_dict(load_file(f"{self.options.reward}/head.safetensors"))
        return {"value_head": torch.nn.Linear(width, 1)}

    @hookimpl
    def ft_count_units(self, batch):
        return float((batch["weights"].sum(-1) > 0).sum())

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        roles = self.roles(run, model, batch)
        counted = (batch["weights"].sum(-1) > 0).float()
        gain = roles["reward"] - self.options.kl * (roles["policy"].detach() - roles["reference"])
        advantage = gain - roles["value"].detach()
        ratio = (roles["policy"] - roles["policy"].detach()).exp()
        losses = -ratio * advantage + (roles["value"] - gain) ** 2
        return Loss((losses * counted).sum(), {"reward": (roles["reward"] * counted).sum()})

    def roles(self, run, model, batch):
        """What each role says of each row, shape (rows,)."""
        with run.use_adapter("value"):
            value = run.modules["value_head"](self._last_hidden(run, model, batch))[:, 0]
        with torch.no_grad(), run.use_adapter("reward"):
            reward = self.reward_head(self._last_hidden(run, model, batch))[:, 0]
        with torch.no_grad(), run.use_adapter(None):
            reference = self._log_probs(run, model, batch)
        policy = self._log_probs(run, model, batch)
        return {"policy": policy, "reference": reference, "value": value, "reward": reward}

    def _last_hidden(self, run, model, batch):
        hidden = run.forward(model, batch, output_hidden_states=True).hidden_states[-1]
        last = batch["attention_mask"].sum(-1) - 1
        return hidden[torch.arange(len(last)), last].float()

    def _log_probs(self, run, model, batch):
        tokens = run.token_losses(model, batch)
        sums = tokens.losses.new_zeros(len(batch["input_ids"]))
        return sums.index_add(0, tokens.documents, -tokens.losses * tokens.weights) / 10


@pytest.fixture
def reward(tmp_path):
    """A saved reward model: an adapter that is not at zero, and a head."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path / "reward"
    run = tiny_run(tmp_path, [lora.bind("lora")])
    base = run.load_base()
    config = LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "down_proj"])
    torch.manual_seed(5)
    get_peft_model(base, config).save_pretrained(folder)
    save_file({"weight": torch.randn(1, 64) / 8}, folder / "head.safetensors")
    return folder


def make(tmp_path, reward, **options):
    options = {"batch_size": 4, "epochs": 4, "save_every": 3, "keep_checkpoints": 9} | options
    return tiny_run(
        tmp_path,
        [
            MiniPPO().bind("ppo", {"reward": str(reward), "precision": "float32", **options}),
            optimizer.bind("adamw", {"learning_rate": 3e-3}),
            lora.bind("lora", {"rank": 4, "dropout": 0.1}),
        ],
    )


def test_only_policy_and_value_move(tmp_path, reward):
    run = make(tmp_path, reward)
    assert {"value", "default"} == {
        name.split(".")[-2] for name, _ in run.trainable() if "lora_" in name
    }
    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    moved = changed(run, before)
    assert {name for name, _ in run.trainable()} == moved
    assert any(name.startswith("value_head.") for name in moved)
    assert not any(".reward." in name or "base_layer" in name for name in moved)
    # what trains and what is frozen is as it was, after all that switching
    assert {name for name, p in run._parameters() if p.requires_grad} == run.trained_names


def test_all_four_say_something_else(tmp_path, reward):
    run = make(tmp_path, reward)
    train(run)
    run.model.eval()
    batch = run.collate(run.data[:4])
    roles = run.part("trainer").roles(run, run.model, batch)
    said = [tuple(role.tolist()) for role in roles.values()]
    assert len(set(said)) == 4
    from transformers import AutoModelForCausalLM

    bare = AutoModelForCausalLM.from_pretrained(run.model_folder)
    expected = run.part("trainer")._log_probs(_bare(run, bare), bare, batch)
    torch.testing.assert_close(roles["reference"], expected)


def _bare(run, model):
    """The run with an unadapted model in the place of its own."""
    import copy

    other = copy.copy(run)
    other.model = model
    return other


def test_saved_roles(tmp_path, reward):
    run = make(tmp_path, reward)
    train(run)
    folder = save(run)
    assert (folder / "adapter_model.safetensors").is_file()
    assert (folder / "value" / "adapter_model.safetensors").is_file()
    assert load_file(folder / "value_head.safetensors").keys() == {"weight", "bias"}


def test_recomputed_activations_are_refused(tmp_path, reward):
    run = make(tmp_path, reward, gradient_checkpointing=True)
    assert [m.capability for m in misfits(run.parts())] == ["gradient-checkpointing"]


def test_resumes_exactly(tmp_path, reward):
    assert_resumes(lambda: make(tmp_path, reward), 3)
