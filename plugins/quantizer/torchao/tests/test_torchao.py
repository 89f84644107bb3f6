"""torchao: adapters on quantized weights, and training through the rounding."""

import pytest
import torch
from harness import assert_resumes, logits, save, tiny_run, train
from torchao.quantization.qat.linear import FakeQuantizedLinear
from torchao.utils import TorchAOBaseTensor

from ft.recipe.fit import misfits
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_torchao import quantizer as torchao
from ft_trainer_sft import trainer as sft

STEPS = {"steps": 6, "precision": "float32", "batch_size": 4}


def run_of(folder, adapter, *, steps=STEPS, **options):
    parts = [
        torchao.bind("torchao", options),
        adapter.bind("adapter"),
        adamw.bind("adamw", {"learning_rate": 2e-3}),
        sft.bind("sft", steps),
    ]
    return tiny_run(folder, parts)


def quantized(model):
    return [n for n, p in model.named_parameters() if isinstance(p, TorchAOBaseTensor)]


@pytest.mark.parametrize("type_", ["int8", "int4", "fp8"])
def test_lora_learns_on_each_type(tmp_path, type_):
    run = run_of(tmp_path, lora, type=type_)
    assert len(quantized(run.model)) == 14
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in name for name, _ in run.trainable())


@pytest.mark.parametrize("type_", ["int8", "int4", "int8-int4"])
def test_what_was_trained_through_the_rounding_is_saved_rounded(tmp_path, type_):
    run = run_of(tmp_path, full, type=type_, aware=True)
    assert sum(isinstance(m, FakeQuantizedLinear) for m in run.model.modules()) == 14
    losses = train(run)
    assert losses[-1] < losses[0]
    trained = logits(run.model)

    folder = save(run)
    assert len(quantized(run.model)) == 14
    # the model that is saved computes what was trained
    torch.testing.assert_close(logits(run.model), trained, rtol=1e-3, atol=1e-3)
    again = run.load_result()
    assert len(quantized(again)) == 14
    torch.testing.assert_close(logits(again), trained, rtol=1e-3, atol=1e-3)

    from transformers import AutoModelForCausalLM

    served = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(served), trained, rtol=1e-3, atol=1e-3)


def test_a_saved_model_is_a_checkpoint_to_train_an_adapter_on(tmp_path):
    run = run_of(tmp_path / "first", full, type="int4", aware=True)
    run.hook.ft_finish_model(run=run, model=run.model)
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "second" / "model")
    again = run_of(tmp_path / "second", lora)
    assert len(quantized(again.model)) == 14
    losses = train(again)
    assert losses[-1] < losses[0]


def test_training_through_the_rounding_resumes_exactly(tmp_path):
    steps = {**STEPS, "save_every": 3, "keep_checkpoints": 9}
    assert_resumes(lambda: run_of(tmp_path, full, type="int4", aware=True, steps=steps), 3)


def test_only_weights_that_train_are_trained_through_the_rounding():
    aware = torchao.bind("torchao", {"aware": True})
    assert not misfits([aware, full.bind("full")])
    found = [m for m in misfits([aware, lora.bind("lora")]) if m.capability == "frozen-base"]
    assert len(found) == 1
    assert [m.capability for m in misfits([torchao.bind("torchao"), full.bind("full")])] == [
        "quantized-base"
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"type": "fp8", "aware": True}, "to fp8"), ({"type": "int8-int4"}, "aware: true")],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        torchao.bind("torchao", options)
