import pytest
import torch
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_bitsandbytes import quantizer as bitsandbytes
from ft_trainer_sft import trainer as sft


def quantized_run(folder, options):
    return tiny_run(
        folder,
        [
            lora.bind("lora", {"rank": 8}),
            bitsandbytes.bind("bitsandbytes", options),
            adamw.bind("adamw", {"learning_rate": 1e-2}),
            sft.bind("sft", {"steps": 15, "precision": "float32"}),
        ],
    )


@pytest.mark.parametrize("bits", [4, 8])
def test_lora_trains_in_layers_of_its_own(tmp_path, bits):
    run = quantized_run(tmp_path, {"bits": bits})
    modules = {type(module).__module__ for module in run.model.modules()}
    assert "peft.tuners.lora.bnb" in modules
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in name for name, _ in run.trainable())


def test_merging_goes_into_a_fresh_full_precision_base(tmp_path):
    run = quantized_run(tmp_path, {"bits": 4})
    train(run)
    run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
    run.selection.leave_out(run.part("quantizer"))  # as `ft export` does
    model = run.load_result().eval()
    ids = torch.arange(3, 23)[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        merged = run.merge(model)(input_ids=ids).logits
    torch.testing.assert_close(merged, before, rtol=1e-4, atol=1e-4)


# -- a checkpoint that is quantized already ------------------------------------------------------


@pytest.fixture(params=[4, 8])
def saved(request, tmp_path):
    """A checkpoint that transformers saved quantized, and its bits."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    plain = tiny_run(tmp_path / "plain", []).model_folder
    how = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    config = BitsAndBytesConfig(**(how if request.param == 4 else {"load_in_8bit": True}))
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=config)
    model.save_pretrained(tmp_path / "model")
    return tmp_path, request.param


def test_it_loads_as_it_is_and_merges_into_plain_weights(saved):
    folder, bits = saved
    run = quantized_run(folder, {})
    assert any(name.endswith("absmax") or "SCB" in name for name in run.model.state_dict())
    assert run.part("quantizer").bits_per_weight() == (4.127 if bits == 4 else 8.1)
    train(run)
    run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
    run.full_precision = True  # as `ft export` opens a result
    model = run.load_result().eval()
    ids = torch.arange(3, 23)[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        merged = run.merge(model)
        after = merged(input_ids=ids).logits
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert {p.dtype for p in merged.parameters()} == {torch.float32}


def test_other_bits_than_its_own_are_refused(saved):
    folder, bits = saved
    with pytest.raises(InputError, match=f"quantized to {bits} already"):
        quantized_run(folder, {"bits": 12 - bits})
