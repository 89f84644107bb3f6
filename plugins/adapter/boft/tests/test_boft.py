import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_boft import adapter as boft
from ft_adapter_boft.blocks import BlockDiagonals
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def boft_run(folder, steps=3, **options):
    plugins = [
        boft.bind("boft", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_blocks_and_their_gradients_are_those_of_torch():
    blocks = torch.randn(2, 3, 4, 4, requires_grad=True)
    expected = torch.stack([torch.block_diag(*one) for one in blocks])
    (found,) = BlockDiagonals.forward(blocks)
    assert found.equal(expected)
    outer = torch.randn_like(expected)
    expected.backward(outer)
    assert BlockDiagonals.backward(outer, blocks)[0].equal(blocks.grad)


@pytest.mark.parametrize("factors", [1, 3])
def test_the_angles_between_inputs_stay(tmp_path, factors):
    run = boft_run(tmp_path, factors=factors)
    layer = first_query(run.model)
    assert layer.boft_R["default"].shape[0] == factors
    before = layer.base_layer.weight.clone()
    train(run)
    scale = layer.boft_s["default"].detach()
    after = run.merge(run.model).model.layers[0].self_attn.q_proj.weight / scale
    assert (after - before).abs().max() > 1e-2
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-4)


def test_a_block_that_does_not_fit_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"blocks of 128 do not divide the 64 inputs"):
        boft_run(tmp_path, block_size=8, factors=5)
