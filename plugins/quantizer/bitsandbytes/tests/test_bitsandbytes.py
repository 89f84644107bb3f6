import pytest
import torch
from harness import tiny_run, train

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
