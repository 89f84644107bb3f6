import pytest
import torch
from harness import tiny_run

from ft.api import InputError
from ft_adapter_eva import Inputs
from ft_adapter_eva import adapter as eva
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def eva_run(folder, steps=3, **options):
    plugins = [
        eva.bind("eva", {"target": ["q_proj"], "rank": 4, **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_a_starts_as_the_main_directions_of_the_inputs(tmp_path):
    run = eva_run(tmp_path, largest=1)
    seen = []
    base = run.load_base()
    layer = base.model.layers[0].self_attn.q_proj
    layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].flatten(0, 1)))
    with torch.no_grad():
        for row in run.data:
            base(input_ids=torch.tensor([list(row.input_ids)]))
    _, _, vt = torch.linalg.svd(torch.cat(seen))
    a = first_query(run.model).lora_A["default"].weight
    torch.testing.assert_close((a @ vt[:4].T).abs(), torch.eye(4), rtol=0, atol=1e-3)


def test_the_rank_goes_where_it_explains_most(tmp_path):
    run = eva_run(tmp_path, target="all-linear")
    ranks = run.model.peft_config["default"].rank_pattern
    assert sum(ranks.values()) == 4 * len(ranks)
    assert min(ranks.values()) < 4 < max(ranks.values()) <= 8
    layers = [m for m in run.model.modules() if hasattr(m, "lora_A")]
    assert {layer.scaling["default"] for layer in layers} == {2.0}


def test_inputs_are_taken_in_batch_by_batch():
    x = torch.randn(50, 8)
    inputs = Inputs(most=8)
    for part in x.split(7):
        inputs.add(part)
    sizes = torch.linalg.svdvals(x).square()
    torch.testing.assert_close(inputs.explained(), sizes / sizes.sum())


def test_ranks_are_not_given(tmp_path):
    with pytest.raises(InputError, match="eva finds the ranks itself"):
        eva_run(tmp_path, rank_pattern={"q_proj": 2})
