import pytest
from harness import Rows, random_rows, tiny_run, train

from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_dpo import trainer as dpo


class Pairs(Rows):
    lengths = property(lambda self: [max(map(len, row.values())) for row in self])


@pytest.mark.parametrize("adapter", [full, lora], ids=["copy", "switched off"])
def test_the_margin_rises_over_the_reference(tmp_path, adapter):
    chosen, rejected = random_rows(8), random_rows(8, seed=2)
    pairs = Pairs({"chosen": c, "rejected": r} for c, r in zip(chosen, rejected, strict=True))
    plugins = [
        dpo.bind("dpo", {"batch_size": 4, "epochs": 4, "precision": "float32"}),
        adamw.bind("adamw", {"learning_rate": 1e-3}),
        adapter.bind("adapter"),
    ]
    run = tiny_run(tmp_path, plugins, rows=pairs)
    losses = train(run)
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # policy and reference are the same yet
    assert losses[-1] < 0.6
    assert run.state.history[-1]["margin"] > 0
