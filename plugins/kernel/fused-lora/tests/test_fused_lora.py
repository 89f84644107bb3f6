"""Fused LoRA layers compute what PEFT's do, forward and backward."""

from shutil import which

import pytest
import torch
from harness import tiny_run, train

from ft.api import ModelFamily
from ft_adapter_lora import adapter as lora
from ft_kernel_fused_lora import kernel as fused
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_bitsandbytes import quantizer as bitsandbytes
from ft_quantizer_fp8 import quantizer as fp8
from ft_trainer_sft import trainer as sft

NEEDS_COMPILER = pytest.mark.skipif(
    not which("c++"), reason="torch.compile makes C++ for a CPU, and there is no compiler"
)
IDS = torch.arange(3, 23)[None]
BASES = {
    "dense": lambda: None,
    "nf4": lambda: bitsandbytes.bind("bitsandbytes", {"bits": 4}),
    "float8": lambda: fp8.bind("fp8", {}),
}


def lora_run(
    folder,
    *kernels,
    rank=8,
    model_type="llama",
    trainer=None,
    quantizer=None,
    family=None,
    **options,
):
    plugins = [
        lora.bind("lora", {"rank": rank, **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 4, "precision": "float32", **(trainer or {})}),
        *(kernel.bind("fused-lora", {}) for kernel in kernels),
        *([quantizer] if quantizer else []),
    ]
    run = tiny_run(folder, plugins, model_type=model_type, family=family)
    generator = torch.Generator().manual_seed(5)
    for name, parameter in run.model.named_parameters():
        if "lora_B" in name:  # at zero, A had no gradient
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return run


def members(model):
    return [module for module in model.modules() if "fused" in module.__dict__]


def loss_and_gradients(run, ids=IDS):
    run.model.zero_grad()
    loss = run.model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    return loss, {name: p.grad for name, p in run.trainable()}


def assert_same(one, two):
    torch.testing.assert_close(one[0], two[0], rtol=1e-5, atol=1e-5)
    assert one[1].keys() == two[1].keys()
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, two[1][name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma3_text"])
@pytest.mark.parametrize("rank", [3, 8])
def test_loss_and_gradients_are_the_same(tmp_path, model_type, rank):
    plain = lora_run(tmp_path / "plain", rank=rank, model_type=model_type)
    fast = lora_run(tmp_path / "fast", fused, rank=rank, model_type=model_type)
    assert len(members(fast.model)) == 14  # seven layers in each of two blocks
    assert_same(loss_and_gradients(plain), loss_and_gradients(fast))


def test_layers_with_a_bias_keep_it(tmp_path):
    plain = lora_run(tmp_path / "plain", model_type="qwen2")
    fast = lora_run(tmp_path / "fast", fused, model_type="qwen2")
    for run in (plain, fast):
        for name, parameter in run.model.named_parameters():
            if name.endswith("bias"):
                parameter.data.fill_(0.1)
    assert_same(loss_and_gradients(plain), loss_and_gradients(fast))


def test_recomputed_layers_are_the_same(tmp_path):
    checkpointed = {"gradient_checkpointing": True}
    plain = lora_run(tmp_path / "plain")
    fast = lora_run(tmp_path / "fast", fused, trainer=checkpointed)
    fast.model.gradient_checkpointing_enable({"use_reentrant": False})
    fast.model.train(), plain.model.train()
    assert_same(loss_and_gradients(plain), loss_and_gradients(fast))
    left = [layer for layer in members(fast.model) if layer.fused[0].ready]
    assert not left, "a pass that stopped early left its activations behind"


def test_it_trains_to_the_same_weights(tmp_path):
    plain, fast = lora_run(tmp_path / "plain"), lora_run(tmp_path / "fast", fused)
    train(plain), train(fast)
    for (name, one), (_, two) in zip(plain.trainable(), fast.trainable(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-4, msg=name)


def test_an_adapter_that_is_switched_off_exchanged_or_merged_stays_so(tmp_path):
    plain, fast = lora_run(tmp_path / "plain"), lora_run(tmp_path / "fast", fused)
    for run in (plain, fast):
        run.add_adapter("second")
    for name in (None, "second"):
        with plain.use_adapter(name), fast.use_adapter(name), torch.no_grad():
            expected, found = plain.model(input_ids=IDS).logits, fast.model(input_ids=IDS).logits
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    expected, found = (r.merge(r.model)(input_ids=IDS).logits for r in (plain, fast))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_two_passes_before_the_first_backward(tmp_path):
    plain, fast = lora_run(tmp_path / "plain"), lora_run(tmp_path / "fast", fused)
    found = []
    for run in (plain, fast):
        losses = [run.model(input_ids=ids, labels=ids).loss for ids in (IDS, IDS + 30)]
        sum(losses).backward()
        found.append({name: p.grad for name, p in run.trainable()})
    assert_same((torch.ones(()), found[0]), (torch.ones(()), found[1]))


def test_the_result_is_saved_and_restored(tmp_path):
    run = lora_run(tmp_path, fused)
    train(run)
    with torch.no_grad():
        expected = run.model.eval()(input_ids=IDS).logits
        run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
        found = run.load_result().eval()(input_ids=IDS).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_layers_with_dropout_stay_as_they_are(tmp_path):
    run = lora_run(tmp_path, fused, dropout=0.1)
    assert not members(run.model)


@pytest.mark.parametrize("base", ["nf4", "float8"])
def test_quantized_layers_are_the_same(tmp_path, base):
    plain = lora_run(tmp_path / "plain", quantizer=BASES[base]())
    fast = lora_run(tmp_path / "fast", fused, quantizer=BASES[base]())
    assert len(members(fast.model)) == 14
    assert_same(loss_and_gradients(plain), loss_and_gradients(fast))


@pytest.mark.parametrize(
    ("base", "backend"),
    [
        pytest.param("dense", "inductor", marks=NEEDS_COMPILER),
        ("dense", "aot_eager"),
        ("nf4", "aot_eager"),
        ("float8", "aot_eager"),
    ],
)
def test_compiled_layers_are_the_same(tmp_path, base, backend):
    deep = ModelFamily("Deep", "tests", ["llama"], tiny={"llama": {"num_hidden_layers": 4}})
    plain = lora_run(tmp_path / "plain", quantizer=BASES[base](), family=deep.bind("deep"))
    fast = lora_run(tmp_path / "fast", fused, quantizer=BASES[base](), family=deep.bind("deep"))
    expected = loss_and_gradients(plain)
    torch._dynamo.reset()
    # a layer is compiled with an input that needs a gradient and with one that does not: the
    # first. A third time would be for each layer anew
    with torch._dynamo.config.patch(recompile_limit=2, fail_on_recompile_limit_hit=True):
        for layer in fast.model.get_base_model().model.layers:
            layer.compile(backend=backend, fullgraph=True)
        assert_same(expected, loss_and_gradients(fast))
