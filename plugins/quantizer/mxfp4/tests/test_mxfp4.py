"""MXFP4 experts become the weights that the format's definition says, and train."""

import pytest
import torch
from harness import tiny_run, train
from safetensors.torch import save_file

from ft.api import InputError, ModelFamily
from ft_adapter_freeze import adapter as freeze
from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_mxfp4 import quantizer as mxfp4
from ft_trainer_sft import trainer as sft

E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
VALUES = torch.tensor(E2M1 + [-value for value in E2M1])
FAMILY = ModelFamily("gpt-oss", "OpenAI", ("gpt_oss",), accepts=("packing",))
EXPERTS, HIDDEN, INNER = 2, 64, 32


def random_mxfp4(rows, columns, seed):
    """Blocks and scales of a file, and the weight (experts, columns, rows) that they stand for.

    A block is 32 values along the columns of (experts, rows, columns), two in each byte with the
    first in the lower half, and a scale is the exponent of two plus 127.
    """
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 16, (EXPERTS, rows, columns // 32, 32), generator=generator)
    scales = torch.randint(120, 124, (EXPERTS, rows, columns // 32), generator=generator)
    blocks = (codes[..., 0::2] | codes[..., 1::2] << 4).to(torch.uint8)
    weight = VALUES[codes] * torch.exp2(scales[..., None] - 127.0)
    return blocks, scales.to(torch.uint8), weight.flatten(2).transpose(1, 2)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny gpt-oss whose experts are in MXFP4, and their weights by name."""
    from transformers import GptOssConfig, GptOssForCausalLM

    folder = tmp_path_factory.mktemp("mxfp4")
    torch.manual_seed(0)
    config = GptOssConfig(
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=2,
        num_local_experts=EXPERTS,
        num_experts_per_tok=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        vocab_size=256,
        initializer_range=0.1,
        quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
        pad_token_id=0,
    )
    tensors = GptOssForCausalLM(config).state_dict()
    weights = {}
    for layer in range(2):
        for name, shape in (("gate_up_proj", (2 * INNER, HIDDEN)), ("down_proj", (HIDDEN, INNER))):
            key = f"model.layers.{layer}.mlp.experts.{name}"
            del tensors[key]
            tensors[f"{key}_blocks"], tensors[f"{key}_scales"], weights[key] = random_mxfp4(
                *shape, layer
            )
    (folder / "model").mkdir()
    save_file(tensors, folder / "model" / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder / "model")
    return folder, weights


def run_of(folder, adapter, options=None):
    parts = [
        mxfp4.bind("mxfp4"),
        adapter.bind("adapter", options or {}),
        adamw.bind("adamw", {"learning_rate": 1e-3}),
        sft.bind("sft", {"steps": 3, "precision": "float32"}),
    ]
    return tiny_run(folder, parts, family=FAMILY, model_type="gpt_oss")


def test_experts_are_the_weights_of_the_definition_and_train(checkpoint):
    folder, weights = checkpoint
    run = run_of(folder, full)
    found = dict(run.model.named_parameters())
    for name, expected in weights.items():
        assert torch.equal(found[name].detach().float(), expected), name
    losses = train(run)
    assert losses[-1] < losses[0]
    assert (
        not found["model.layers.0.mlp.experts.down_proj"]
        .detach()
        .equal(weights["model.layers.0.mlp.experts.down_proj"])
    )


@pytest.mark.parametrize("full_precision", [False, True])
def test_what_is_saved_is_plain(checkpoint, tmp_path, full_precision):
    """By a run and, as `ft export` opens its result, in full precision."""
    from transformers import AutoModelForCausalLM

    folder, weights = checkpoint
    run = run_of(folder, freeze, {"layers": 1})
    run.full_precision = full_precision
    run.model = run.load_base()
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    assert getattr(again.config, "quantization_config", None) is None
    name = "model.layers.1.mlp.experts.gate_up_proj"
    assert torch.equal(again.get_parameter(name).detach(), weights[name])


def test_a_plain_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="those of this checkpoint are not"):
        tiny_run(tmp_path, [mxfp4.bind("mxfp4"), full.bind("full")])
