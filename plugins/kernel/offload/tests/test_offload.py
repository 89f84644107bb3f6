"""Layers whose input waits in CPU memory learn what others do, and keep nothing on the device."""

import pytest
import torch
from harness import tiny_run, train

from ft.api import ModelFamily
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_kernel_compile import kernel as compiling
from ft_kernel_offload import kernel as offload
from ft_kernel_offload.transfer import Transfer
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def run_of(folder, *kernels, adapter=lora, recomputed=True):
    family = ModelFamily("Deep", "tests", ["llama"], tiny={"llama": {"num_hidden_layers": 4}})
    options = {"steps": 3, "precision": "float32", "gradient_checkpointing": recomputed}
    if recomputed and not kernels:
        options["micro_batch_size"] = 2  # several passes before a step
    parts = [adapter.bind("adapter"), adamw.bind("adamw", {}), sft.bind("sft", options), *kernels]
    return tiny_run(folder, parts, model_type="llama", family=family.bind("deep"))


def weights_of(run):
    train(run)
    return {name: parameter.detach().clone() for name, parameter in run.trainable()}


@pytest.mark.parametrize("adapter", [lora, full])
@pytest.mark.parametrize("recomputed", [True, 2])
@pytest.mark.parametrize("compiled", [False, True])
def test_training_is_the_same(tmp_path, adapter, recomputed, compiled):
    torch._dynamo.reset()
    more = [compiling.bind("compile", {"backend": "aot_eager"})] if compiled else []
    plain = weights_of(run_of(tmp_path / "plain", adapter=adapter, recomputed=recomputed))
    fast = weights_of(
        run_of(
            tmp_path / "fast",
            offload.bind("offload"),
            *more,
            adapter=adapter,
            recomputed=recomputed,
        )
    )
    for name, parameter in plain.items():
        torch.testing.assert_close(fast[name], parameter, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("compiled", [False, True])
def test_every_input_of_a_layer_goes_away_and_comes_back(tmp_path, monkeypatch, compiled):
    torch._dynamo.reset()
    went, came = [], []
    send, receive = Transfer.send, Transfer.receive
    monkeypatch.setattr(Transfer, "send", lambda s, t: (went.append(t.shape), send(s, t))[1])
    monkeypatch.setattr(Transfer, "receive", lambda s, w: (came.append(w), receive(s, w))[1])
    more = [compiling.bind("compile", {"backend": "aot_eager"})] if compiled else []
    run = run_of(tmp_path, offload.bind("offload"), *more)
    train(run)
    assert len(went) == len(came) == 3 * 4  # steps and layers
    transfer = run.model.get_base_model().model.layers[0].transfer
    assert transfer.last() is None
    assert len(transfer.spare) <= 4 * len(set(went)), "memory is used again"


def test_it_says_that_nothing_recomputes(tmp_path):
    run = run_of(tmp_path, offload.bind("offload"), recomputed=False)
    train(run)
    assert any("nothing to do" in line for line in run.progress.lines)


def test_a_pass_that_was_given_up_leaves_nothing():
    transfer = Transfer(torch.device("cpu"))
    lost = transfer.send(torch.ones(3))
    del lost
    kept = transfer.send(torch.full((3,), 2.0))
    assert transfer.receive(kept).tolist() == [2.0, 2.0, 2.0]
    assert transfer.last() is None
