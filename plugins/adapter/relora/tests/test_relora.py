import pytest
import torch
from harness import logits, save, tiny_run, train
from peft import PeftModel
from transformers import AutoModelForCausalLM

from ft.api import Tracker, hookimpl
from ft_adapter_relora import adapter as relora
from ft_adapter_relora.restart import prune_state
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


class Rates(Tracker):
    """Notes the learning rate that the optimizer steps with."""

    @hookimpl
    def ft_run_started(self, run):
        self.used = []
        run.optimizer.register_step_pre_hook(
            lambda own, *_: self.used.append(own.param_groups[0]["lr"])
        )


def make(folder, *more, steps=7, **options):
    return tiny_run(
        folder,
        [
            trainer.bind("sft", {"batch_size": 4, "steps": steps}),
            optimizer.bind("adamw", {"learning_rate": 1e-2, "schedule": "constant"}),
            relora.bind("relora", {"rank": 2, "rewarmup": 0, **options}),
            *more,
        ],
    )


def weight_of(model):
    return model.get_base_model().model.layers[0].mlp.down_proj.base_layer.weight


def test_the_sum_of_updates_has_a_higher_rank_than_each(tmp_path):
    run = make(tmp_path, restart_every=3)
    start = weight_of(run.model).detach().clone()
    losses = train(run)
    assert losses[-1] < losses[0]
    moved = weight_of(run.model).detach() - start  # by two updates of rank 2
    assert torch.linalg.matrix_rank(moved, rtol=1e-4) == 4


def test_a_restart_leaves_what_the_model_computes(tmp_path):
    once, never = (make(tmp_path, steps=3, restart_every=every) for every in (3, 99))
    train(once)
    train(never)
    layer = once.model.get_base_model().model.layers[0].mlp.down_proj
    assert not layer.lora_B["default"].weight.any()
    torch.testing.assert_close(logits(once.model), logits(never.model), rtol=1e-4, atol=1e-4)


def test_the_learning_rate_climbs_back_after_a_restart(tmp_path):
    rates = Rates().bind("rates")
    train(make(tmp_path, rates, steps=7, restart_every=4, rewarmup=3))
    assert rates.used == pytest.approx([1e-2] * 4 + [0.25e-2, 0.5e-2, 0.75e-2])


def test_the_smallest_moments_are_dropped():
    parameter = torch.nn.Parameter(torch.zeros(4, 5))
    moments = torch.randperm(20, generator=torch.Generator().manual_seed(0)).view(4, 5) - 9.5
    adam = torch.optim.AdamW([parameter])
    adam.state[parameter] = {"step": torch.tensor(3.0), "exp_avg": moments.clone()}
    prune_state(adam, parameter, 0.9)
    left = adam.state[parameter]
    assert left["exp_avg"].count_nonzero() == 2
    assert left["exp_avg"].abs().sum() == 19  # -9.5 and 9.5
    assert left["step"] == 3
    adam.state[parameter] = {"z": parameter.detach().clone()}
    prune_state(adam, parameter, 0.9)
    assert parameter not in adam.state


def test_peft_reads_the_result_with_its_base(tmp_path):
    run = make(tmp_path, restart_every=3)
    train(run)
    folder = save(run)
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    torch.testing.assert_close(
        logits(PeftModel.from_pretrained(base, folder)), logits(run.model), rtol=1e-5, atol=1e-5
    )
    again = make(tmp_path, restart_every=3, continue_from=folder)
    assert logits(again.model).equal(logits(run.model))


def test_a_warm_up_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="must end before the next restart"):
        relora.bind("relora", {"restart_every": 10, "rewarmup": 10})
