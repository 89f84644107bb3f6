"""Compiled layers compute the same, and make again only what the backward pass reads."""

from shutil import which

import pytest
import setuptools  # noqa: F401 (the compiler imports it, which fails behind another's distutils)
import torch
from harness import random_rows, tiny_run, train

from ft.api import ModelFamily
from ft_adapter_full import adapter as full
from ft_kernel_compile import kernel as compiling
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def run_of(folder, *kernels, rows=None, **trainer):
    family = ModelFamily("Deep", "tests", ["llama"], tiny={"llama": {"num_hidden_layers": 4}})
    options = {"steps": 3, "precision": "float32", **trainer}
    return tiny_run(
        folder,
        [full.bind("full"), adamw.bind("adamw", {}), sft.bind("sft", options), *kernels],
        model_type="llama",
        family=family.bind("deep"),
        rows=rows,
    )


@pytest.mark.skipif(
    not which("c++"), reason="torch.compile makes C++ for a CPU, and there is no compiler"
)
@pytest.mark.parametrize("recomputed", [False, 2, True])
def test_training_is_the_same(tmp_path, recomputed):
    torch._dynamo.reset()
    losses = []
    for name, kernels in (("plain", ()), ("fast", (compiling.bind("compile"),))):
        run = run_of(tmp_path / name, *kernels, gradient_checkpointing=recomputed)
        train(run)
        losses.append([line["loss"] for line in run.state.history if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_recomputed_layers_keep_no_activation(tmp_path):
    kept = []
    for recomputed in (False, True):
        torch._dynamo.reset()
        run = run_of(
            tmp_path / str(recomputed),
            compiling.bind("compile", {"backend": "aot_eager"}),
            gradient_checkpointing=recomputed,
        )
        train(run)
        saved = 0

        def pack(tensor):
            nonlocal saved
            saved += tensor.numel() * (not isinstance(tensor, torch.nn.Parameter))
            return tensor

        ids = torch.arange(3, 43)[None]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            run.model.train()(input_ids=ids, use_cache=False)
        kept.append(saved)
    assert kept[1] < kept[0] / 2, f"numbers kept with and without recomputation: {kept}"


def test_packed_batches_have_one_shape(tmp_path):
    rows = random_rows(7)
    run = run_of(tmp_path, compiling.bind("compile", {"backend": "aot_eager"}), max_length=64)
    documents = [[rows[0], rows[1]], [rows[2]], []]
    batch = run.collate(documents)
    assert batch["input_ids"].shape == (3, 64)
    assert batch["real_tokens"] == sum(map(len, rows[:3]))
    assert batch["longest"] <= 64
    assert (batch["weights"][2] == 0).all()
