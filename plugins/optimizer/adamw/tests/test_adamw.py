from harness import tiny_run, train

from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def test_trains_and_decays_matrices_only(tmp_path):
    options = {"learning_rate": 3e-3, "weight_decay": 0.1}
    run = tiny_run(
        tmp_path,
        [
            full.bind("full"),
            adamw.bind("adamw", options),
            sft.bind("sft", {"steps": 30, "precision": "float32"}),
        ],
    )
    losses = train(run)
    assert losses[-1] < losses[0] / 2
    for group in run.optimizer.param_groups:
        for parameter in group["params"]:
            assert (group["weight_decay"] == 0.1) == (parameter.ndim >= 2)
