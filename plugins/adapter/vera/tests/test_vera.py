import torch
from harness import tiny_run, train

from ft_adapter_vera import adapter as vera
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def vera_run(folder, steps=3, **options):
    plugins = [
        vera.bind("vera", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


def test_the_update_is_that_of_the_paper(tmp_path):
    run = vera_run(tmp_path, rank=8)
    train(run)
    layer, x = first_query(run.model), torch.randn(5, 64)
    a, b = layer.vera_A["default"][:, :64], layer.vera_B["default"][:64]
    d, scale = layer.vera_lambda_d["default"], layer.vera_lambda_b["default"]
    expected = x @ layer.base_layer.weight.T + scale * ((d * (x @ a.T)) @ b.T)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    # all that trains are two vectors for each layer
    assert sum(p.numel() for _, p in run.trainable()) == 2 * (8 + 64)


def test_the_random_matrices_follow_from_the_seed(tmp_path):
    first, second = vera_run(tmp_path, rank=8), vera_run(tmp_path, rank=8)
    assert first.model.peft_config["default"].projection_prng_key == first.seed
    a = [first_query(run.model).vera_A["default"] for run in (first, second)]
    assert a[0].equal(a[1])


def test_without_the_projection_the_file_holds_vectors(tmp_path):
    run = vera_run(tmp_path, rank=8, save_projection=False)
    train(run)
    run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
    file = run.folder / "result" / "adapter_model.safetensors"
    assert file.stat().st_size < 4000
    x = torch.randn(5, 64)
    restored = run.load_result()
    torch.testing.assert_close(first_query(restored)(x), first_query(run.model)(x))


def test_a_rank_above_the_width_is_fine(tmp_path):
    assert first_query(vera_run(tmp_path, rank=100).model).r["default"] == 100
