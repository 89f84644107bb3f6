"""Corner: a quantizer that prepares before training and converts after it."""

from __future__ import annotations

import torch
from harness import assert_resumes, logits, save, tiny_run, train
from safetensors.torch import load_file, save_model
from torch import nn
from torch.nn import functional

from ft.api import Quantizer, hookimpl
from ft_adapter_full import adapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


def scales(weight):
    """One scale for each output channel, so that the largest weight becomes 127."""
    return weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127


class FakeInt8(nn.Linear):
    """Computes with rounded weights; gradients pass through the rounding unchanged."""

    def forward(self, x):
        scale = scales(self.weight.detach())
        rounded = (self.weight.detach() / scale).round() * scale
        return functional.linear(x, self.weight + (rounded - self.weight).detach(), self.bias)


class Int8(nn.Module):
    """A linear layer that holds int8 weights and a float scale for each output channel."""

    def __init__(self, linear):
        super().__init__()
        scale = scales(linear.weight.detach())
        self.register_buffer("weight", (linear.weight.detach() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x):
        return functional.linear(x, self.weight.to(x.dtype) * self.scale.to(x.dtype))


def replace(model, old, make):
    """Replace every layer of class ``old``, the output layer excepted."""
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is old and module is not head:
            model.set_submodule(name, make(module))


def fake(linear):
    made = FakeInt8(linear.in_features, linear.out_features, bias=linear.bias is not None)
    made.load_state_dict(linear.state_dict())
    return made


class Int8Aware(Quantizer):
    """Trains through int8 rounding, and saves the rounded weights."""

    provides = frozenset({"quantization-aware"})

    @hookimpl
    def ft_prepare_model(self, model):
        replace(model, nn.Linear, fake)

    @hookimpl
    def ft_finish_model(self, model):
        replace(model, FakeInt8, Int8)

    @hookimpl
    def ft_save_model(self, model, folder):
        model.config.save_pretrained(folder)
        save_model(model, str(folder / "model.safetensors"))
        return True

    @hookimpl
    def ft_restore_model(self, run, folder):
        from safetensors.torch import load_model

        model = run.load_base()
        self.ft_finish_model(model)
        load_model(model, folder / "model.safetensors")
        return model


OPTIONS = {"batch_size": 4, "epochs": 4, "save_every": 3, "keep_checkpoints": 9}


def make(folder):
    return tiny_run(
        folder,
        [
            trainer.bind("sft", OPTIONS),
            optimizer.bind("adamw", {"learning_rate": 2e-3}),
            adapter.bind("full"),
            Int8Aware().bind("int8-aware"),
        ],
    )


def test_converted_weights_are_integers_and_compute_the_same(tmp_path):
    run = make(tmp_path)
    assert any(isinstance(module, FakeInt8) for module in run.model.modules())
    losses = train(run)
    assert losses[-1] < losses[0]
    trained = logits(run.model)
    floats = {
        name: module.weight.detach().clone()
        for name, module in run.model.named_modules()
        if isinstance(module, FakeInt8)
    }

    folder = save(run)
    saved = load_file(folder / "model.safetensors")
    for name, weight in floats.items():
        assert saved[f"{name}.weight"].dtype == torch.int8
        drift = saved[f"{name}.weight"] * saved[f"{name}.scale"] - weight
        assert (drift.abs() <= saved[f"{name}.scale"] / 2 + 1e-7).all()
    torch.testing.assert_close(logits(run.model), trained, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(run.load_result()), trained, rtol=1e-4, atol=1e-4)


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path), 3)
