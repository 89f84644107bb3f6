import pytest
import torch
from harness import save, tiny_run, train

from ft_adapter_loftq import adapter as loftq
from ft_optimizer_adamw import optimizer as adamw
from ft_quantizer_bitsandbytes import quantizer as bitsandbytes
from ft_trainer_sft import trainer as sft


def loftq_run(folder, quantizer, steps=3, **options):
    plugins = [
        loftq.bind("loftq", {"target": ["q_proj"], **options}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    if quantizer is not None:
        plugins.append(bitsandbytes.bind("bitsandbytes", quantizer))
    return tiny_run(folder, plugins)


def first_query(model):
    return model.base_model.model.model.layers[0].self_attn.q_proj


@pytest.mark.parametrize("quantizer", [{"bits": 4}, {"bits": 8}])
def test_it_starts_nearer_to_the_full_weights_than_the_quantized_base(tmp_path, quantizer):
    run = loftq_run(tmp_path, quantizer)
    layer = first_query(run.model).train()
    update = layer.get_delta_weight("default")
    lost = run.load_base(quantized=False).model.layers[0].self_attn.q_proj.weight
    lost = lost - layer.base_layer.train()(torch.eye(64)).T
    # the best there is of this rank
    u, s, vt = torch.linalg.svd(lost)
    best = u[:, :16] * s[:16] @ vt[:16]
    torch.testing.assert_close(update, best, rtol=1e-3, atol=1e-4)


def test_the_start_is_taken_back_on_the_full_base(tmp_path):
    run = loftq_run(tmp_path, {"bits": 4})
    started = first_query(run.model).get_delta_weight("default").detach()
    train(run)
    moved = first_query(run.model).get_delta_weight("default").detach() - started
    saved = save(run)
    whole = loftq_run(tmp_path, None)
    merged = whole.merge(whole.hook.ft_restore_model(run=whole, folder=saved))
    base = whole.load_base()
    torch.testing.assert_close(
        merged.model.layers[0].self_attn.q_proj.weight,
        base.model.layers[0].self_attn.q_proj.weight + moved,
        rtol=1e-4,
        atol=1e-4,
    )


def test_going_on_keeps_the_start(tmp_path):
    run = loftq_run(tmp_path, {"bits": 4})
    train(run)
    saved = save(run)
    again = loftq_run(tmp_path, {"bits": 4}, continue_from=str(saved))
    again.hook.ft_save_model(run=again, model=again.model, folder=tmp_path / "again")
    file = "start.safetensors"
    assert (tmp_path / "again" / file).read_bytes() == (saved / file).read_bytes()
