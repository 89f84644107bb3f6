import pytest
from families import assert_groups, assert_packs, assert_trains, load, random_ids
from tiny import write_tiny

from ft_model_qwen3 import family


@pytest.fixture(scope="module", params=["qwen3", "qwen3_moe"])
def model(request, tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp(request.param), "qwen3", request.param)
    return load(family, request.param, folder)


def test_trains(model):
    assert_groups(family, model)
    assert_trains(model, input_ids=random_ids(20)[0][None])


def test_packed_equals_unpacked(model):
    assert_packs(model)


def test_fused_experts_are_parameters(tmp_path):
    model = load(family, "qwen3_moe", write_tiny(tmp_path, "qwen3", "qwen3_moe"))
    names = [name for name, parameter in model.named_parameters() if parameter.ndim == 3]
    assert names
    assert all(name.endswith(family.fused_experts) for name in names)


def test_the_router_loss_is_added_when_asked_for(tmp_path):
    from harness import tiny_run, train

    from ft_adapter_full import adapter as full
    from ft_optimizer_adamw import optimizer as adamw
    from ft_trainer_sft import trainer as sft

    class Asked(type(family)):
        def bind(self, name, options=None, **more):
            return super().bind(name, {"router_loss": True}, **more)

    losses = []
    for number, chosen in enumerate((family, Asked(**_data(family)))):
        plugins = [
            full.bind("full"),
            adamw.bind("adamw"),
            sft.bind("sft", {"steps": 1, "precision": "float32"}),
        ]
        folder = tmp_path / str(number)
        folder.mkdir()
        run = tiny_run(folder, plugins, family=chosen, model_type="qwen3_moe")
        train(run)
        losses.append(run.state.history[0])
    assert "extra_loss" not in losses[0]
    assert losses[1]["extra_loss"] > 0
    assert losses[1]["loss"] == pytest.approx(losses[0]["loss"] + losses[1]["extra_loss"], rel=1e-4)


def _data(plugin):
    return {"title": plugin.title, "vendor": plugin.vendor, "tiny": plugin.tiny}
