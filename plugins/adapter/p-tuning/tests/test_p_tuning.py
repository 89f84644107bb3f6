import pytest
from harness import save, tiny_run, train
from safetensors.torch import load_file

from ft_adapter_p_tuning import adapter as ptuning
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def ptuning_run(folder, steps=3, **options):
    plugins = [
        ptuning.bind("p-tuning", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


@pytest.mark.parametrize("encoder", ["mlp", "lstm"])
def test_a_network_makes_the_tokens_and_they_alone_are_saved(tmp_path, encoder):
    run = ptuning_run(tmp_path, tokens=4, steps=10, encoder=encoder, encoder_width=24)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert any(24 in p.shape for _, p in run.trainable())
    tensors = load_file(save(run) / "adapter_model.safetensors")
    assert [t.shape for t in tensors.values()] == [(4, 64)]
