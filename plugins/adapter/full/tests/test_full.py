from harness import tiny_run

from ft_adapter_full import adapter as full


def test_every_parameter_trains(tmp_path):
    run = tiny_run(tmp_path, [full.bind("full")])
    assert {name for name, _ in run.trainable()} == {n for n, _ in run.model.named_parameters()}
