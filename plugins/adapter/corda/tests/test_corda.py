import pytest
import torch
from harness import logits, save, tiny_run, train

from ft_adapter_corda import adapter as corda
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def corda_run(folder, steps=3, **options):
    plugins = [
        corda.bind("corda", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def inputs_of(run):
    """The inputs of the first query layer of all rows, without padding."""
    seen = []
    base = run.load_base()
    layer = base.model.layers[0].self_attn.q_proj
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].flatten(0, 1)))
    with torch.no_grad():
        for row in run.data:
            base(input_ids=torch.tensor([list(row.input_ids)]))
    return layer.weight.detach(), torch.cat(seen)


@pytest.mark.parametrize("mode", ["adapt", "keep"])
def test_the_update_is_what_the_inputs_use_most_or_least(tmp_path, mode):
    run = corda_run(tmp_path, mode=mode)
    weight, x = inputs_of(run)
    covariance = x.T @ x / len(x)
    covariance += 0.01 * covariance.diagonal().mean() * torch.eye(64)
    u, s, vt = torch.linalg.svd(weight @ covariance)
    part = slice(16) if mode == "adapt" else slice(48, 64)
    expected = u[:, part] * s[part] @ vt[part] @ torch.linalg.inv(covariance)
    found = first_query(run.model).get_delta_weight("default")
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(first_query(run.model).base_layer.weight, weight - found)


def plainly_loaded(run, folder):
    """The saved folder as another library puts it on the unchanged base."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(run.model_folder)
    return PeftModel.from_pretrained(base, folder)


@pytest.mark.parametrize("options", [{}, {"rslora": True, "rank_pattern": {"k_proj": 2}}])
def test_the_result_is_a_plain_lora_on_the_unchanged_base(tmp_path, options):
    run = corda_run(tmp_path, target=["q_proj", "k_proj"], **options)
    train(run)
    saved = save(run)
    torch.testing.assert_close(
        logits(plainly_loaded(run, saved)), logits(run.model), rtol=1e-4, atol=1e-4
    )
    # of twice the rank; to go on with it is to go on with a plain LoRA
    again = corda_run(tmp_path, target=["q_proj", "k_proj"], continue_from=str(saved))
    assert first_query(again.model).r["default"] == 32
    torch.testing.assert_close(logits(again.model), logits(run.model), rtol=1e-4, atol=1e-4)
