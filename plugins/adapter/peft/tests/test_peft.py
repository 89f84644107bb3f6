import pytest
from harness import tiny_run, train

from ft.api import InputError
from ft_adapter_peft import adapter as peft
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def peft_run(folder, **options):
    plugins = [
        peft.bind("peft", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 10, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


@pytest.mark.parametrize(
    ("method", "config"),
    [("LOHA", {"r": 4}), ("LOKR", {"r": 4}), ("IA3", {"feedforward_modules": []})],
)
def test_a_method_by_name_trains(tmp_path, method, config):
    losses = train(peft_run(tmp_path, method=method, target=["q_proj"], config=config))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "LOAR"}, "no method LOAR"),
        ({"method": "LOHA", "config": {"rank": 4}}, "refuses adapter.config"),
    ],
)
def test_an_unknown_method_or_option_is_refused(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        peft_run(tmp_path, **options)


def test_tokens_in_front_go_with_no_packing():
    said = peft.bind("peft", {"method": "PREFIX_TUNING", "target": []}).capabilities()
    assert "virtual-tokens" in said.provides
    assert not said.provides & {"mergeable"}
    assert "packing" not in said.accepts
    assert "packing" in peft.bind("peft", {"method": "LOHA"}).capabilities().accepts
