import torch
from harness import tiny_run, train

from ft_adapter_prefix_tuning import adapter as prefix_tuning
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def prefix_tuning_run(folder, steps=3, **options):
    plugins = [
        prefix_tuning.bind("prefix-tuning", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def test_keys_and_values_stand_in_front(tmp_path):
    from transformers import DynamicCache

    run = prefix_tuning_run(tmp_path, tokens=4, steps=10)
    losses = train(run)
    assert losses[-1] < losses[0]
    (_, learned), *rest = run.trainable()
    assert not rest
    base, ids = run.load_base(), torch.arange(3, 9)[None]
    heads, width = base.config.num_key_value_heads, base.config.head_dim
    # (tokens, layers, 2, heads, width)
    prefix = learned.view(4, -1, 2, heads, width).permute(1, 2, 3, 0, 4)[:, :, None]
    cache = DynamicCache()
    for number, (key, value) in enumerate(prefix):
        cache.update(key, value, number)
    expected = base(input_ids=ids, past_key_values=cache).logits
    torch.testing.assert_close(run.model.eval()(input_ids=ids).logits, expected)


def test_a_network_makes_them(tmp_path):
    run = prefix_tuning_run(tmp_path, tokens=4, projection=True, width=24)
    assert any(24 in p.shape for _, p in run.trainable())


def test_activations_cannot_be_recomputed():
    assert "gradient-checkpointing" in prefix_tuning.bind("prefix-tuning").capabilities().conflicts
