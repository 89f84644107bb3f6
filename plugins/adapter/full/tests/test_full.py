import torch
from harness import tiny_run, train

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def test_every_parameter_moves_and_the_result_is_a_whole_model(tmp_path):
    run = tiny_run(
        tmp_path,
        [full.bind("full"), adamw.bind("adamw"), sft.bind("sft", {"steps": 3})],
    )
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    train(run)
    assert {name for name, _ in run.trainable()} == set(before)
    assert all(not torch.equal(p, before[name]) for name, p in run.model.named_parameters())
    run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
    for name, parameter in run.load_result().named_parameters():
        assert torch.equal(parameter, dict(run.model.named_parameters())[name])


def test_quantized_base_is_not_accepted():
    assert "quantized-base" not in full.bind("full").capabilities().accepts
