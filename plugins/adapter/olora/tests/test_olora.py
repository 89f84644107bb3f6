import pytest
import torch
from harness import logits, save, tiny_run, train

from ft_adapter_olora import adapter as olora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def olora_run(folder, steps=3, **options):
    plugins = [
        olora.bind("olora", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def reference(run, **settings):
    """PEFT's own start of the same layer."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=16, lora_alpha=32, target_modules=["q_proj"], **settings)
    return first_query(get_peft_model(run.load_base(), config))


def test_it_starts_as_the_reference_does(tmp_path):
    run = olora_run(tmp_path)
    found, expected = first_query(run.model), reference(run, init_lora_weights="olora")
    weight = expected.base_layer.weight
    torch.testing.assert_close(found.base_layer.weight, weight, rtol=0, atol=1e-6)
    b = found.lora_B["default"].weight
    torch.testing.assert_close(b.T @ b, torch.eye(16), rtol=0, atol=1e-5)


def plainly_loaded(run, folder):
    """The saved folder as another library puts it on the unchanged base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(run.model_folder)
    return PeftModel.from_pretrained(base, folder)


@pytest.mark.parametrize("options", [{}, {"rslora": True, "rank_pattern": {"k_proj": 2}}])
def test_the_result_is_a_plain_lora_on_the_unchanged_base(tmp_path, options):
    run = olora_run(tmp_path, target=["q_proj", "k_proj"], **options)
    train(run)
    saved = save(run)
    torch.testing.assert_close(
        logits(plainly_loaded(run, saved)), logits(run.model), rtol=1e-4, atol=1e-4
    )
    # of twice the rank; to go on with it is to go on with a plain LoRA
    again = olora_run(tmp_path, target=["q_proj", "k_proj"], continue_from=str(saved))
    assert first_query(again.model).r["default"] == 32
    torch.testing.assert_close(logits(again.model), logits(run.model), rtol=1e-4, atol=1e-4)
