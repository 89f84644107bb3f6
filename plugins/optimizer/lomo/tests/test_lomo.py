import torch
from harness import changed, tiny_run, train, weights

from ft.recipe.fit import misfits
from ft_adapter_full import adapter
from ft_optimizer_lomo import optimizer as lomo
from ft_optimizer_sgd import optimizer as sgd
from ft_trainer_sft import trainer

TRAINER = {"batch_size": 4, "steps": 4, "max_grad_norm": None, "precision": "float32"}


def make(folder, optimizer):
    return tiny_run(folder, [trainer.bind("sft", TRAINER), optimizer, adapter.bind("full")])


def test_it_is_sgd_with_one_gradient_at_a_time(tmp_path):
    options = {"learning_rate": 0.02, "warmup": 2, "weight_decay": 0.1}
    run = make(tmp_path, lomo.bind("lomo", {**options, "clip_value": None}))
    before, alive = weights(run), []
    for _, parameter in run.trainable():
        parameter.register_post_accumulate_grad_hook(
            lambda _: alive.append(sum(p.grad is not None for p in run.model.parameters()))
        )
    train(run)
    assert changed(run, before) == before.keys()
    assert max(alive) == 1
    assert not any(run.optimizer.state.values())
    plain = make(tmp_path, sgd.bind("sgd", options))
    train(plain)
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(run)[name], weight)


def test_gradients_are_clipped_by_value(tmp_path):
    run = make(tmp_path, lomo.bind("lomo", {"learning_rate": 0.5, "clip_value": 0.1}))
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    parameter = optimizer.param_groups[0]["params"][0]
    before = parameter.detach().clone()
    (parameter * torch.linspace(-1, 1, parameter.shape[-1])).sum().backward()
    moved = (before - parameter.detach()).abs()
    assert float(moved.max()) <= 0.05 + 1e-6
    assert parameter.grad is None


def test_what_it_cannot_do_is_refused():
    asking = trainer.bind("sft", {"batch_size": 4, "micro_batch_size": 2})
    words = {m.capability for m in misfits([asking, lomo.bind("lomo")])}
    assert words >= {"gradient-accumulation", "gradient-clipping"}
    suggested = trainer.bind("sft", {"batch_size": 4, **lomo.suggests["trainer"]})
    words = {m.capability for m in misfits([suggested, lomo.bind("lomo")])}
    assert not words & {"gradient-accumulation", "gradient-clipping"}
