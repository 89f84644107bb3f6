import pytest
import torch
from harness import logits, save, tiny_run, train

from ft.api import InputError
from ft_adapter_lora_ga import adapter as lora_ga
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def lora_ga_run(folder, steps=3, **options):
    plugins = [
        lora_ga.bind("lora-ga", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_factors_lie_along_the_gradient(tmp_path):
    run = lora_ga_run(tmp_path)
    base = run.load_base().requires_grad_(True)
    for row in run.data:
        batch = run.collate([row])
        found = run.token_losses(base, batch)
        (found.losses * found.weights).sum().backward()
    u, _, vt = torch.linalg.svd(base.model.layers[0].self_attn.q_proj.weight.grad)
    layer, size = first_query(run.model), 64**0.25 / 4
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    torch.testing.assert_close((a @ vt[:16].T / size).abs(), torch.eye(16), rtol=0, atol=1e-3)
    torch.testing.assert_close((u[:, 16:32].T @ b / size).abs(), torch.eye(16), rtol=0, atol=1e-3)


def test_half_of_the_directions_are_for_each_factor(tmp_path):
    with pytest.raises(InputError, match=r"rank is 20, and .*k_proj .* can start with 16 at most"):
        lora_ga_run(tmp_path, rank=20, target=["k_proj"])


def plainly_loaded(run, folder):
    """The saved folder as another library puts it on the unchanged base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(run.model_folder)
    return PeftModel.from_pretrained(base, folder)


@pytest.mark.parametrize("options", [{}, {"rslora": True, "rank_pattern": {"k_proj": 2}}])
def test_the_result_is_a_plain_lora_on_the_unchanged_base(tmp_path, options):
    run = lora_ga_run(tmp_path, target=["q_proj", "k_proj"], **options)
    train(run)
    saved = save(run)
    torch.testing.assert_close(
        logits(plainly_loaded(run, saved)), logits(run.model), rtol=1e-4, atol=1e-4
    )
    # of twice the rank; to go on with it is to go on with a plain LoRA
    again = lora_ga_run(tmp_path, target=["q_proj", "k_proj"], continue_from=str(saved))
    assert first_query(again.model).r["default"] == 32
    torch.testing.assert_close(logits(again.model), logits(run.model), rtol=1e-4, atol=1e-4)
