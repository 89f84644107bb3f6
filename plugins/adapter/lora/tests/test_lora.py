import pytest
import torch
from harness import tiny_run, train
from safetensors.torch import load_file

from ft.api import InputError, ModelFamily
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

IDS = torch.arange(3, 23)[None]


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def lora_run(folder, model_type="llama", family=None, **options):
    plugins = [
        lora.bind("lora", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 10, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins, model_type=model_type, family=family)


def test_layers_that_hold_their_weight_transposed_merge(tmp_path):
    run = lora_run(tmp_path, "gpt2", rank=4)
    train(run)
    trained = logits(run.model)
    torch.testing.assert_close(logits(run.merge(run.model)), trained, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"rslora": True}, {"modules_to_save": ["lm_head"]}])
def test_saved_restored_and_merged_are_the_same(tmp_path, options):
    run = lora_run(tmp_path, **options)
    train(run)
    trained = logits(run.model)
    run.hook.ft_save_model(run=run, model=run.model, folder=run.folder / "result")
    restored = run.load_result()
    torch.testing.assert_close(logits(restored), trained, rtol=0, atol=0)
    torch.testing.assert_close(logits(run.merge(restored)), trained, rtol=1e-4, atol=1e-4)


def test_goes_on_from_a_saved_adapter(tmp_path):
    first = lora_run(tmp_path)
    train(first)
    first.hook.ft_save_model(run=first, model=first.model, folder=tmp_path / "saved")
    second = lora_run(tmp_path, continue_from=str(tmp_path / "saved"))
    torch.testing.assert_close(logits(second.model), logits(first.model), rtol=0, atol=0)
    assert len(list(second.trainable())) == len(list(first.trainable()))


def test_alpha_follows_the_rank(tmp_path):
    config = lora_run(tmp_path, rank=3).model.peft_config["default"]
    assert (config.r, config.lora_alpha) == (3, 6)


def test_layers_are_chosen_by_number(tmp_path):
    run = lora_run(tmp_path, layers=[1])
    assert {".1." in name for name, _ in run.trainable()} == {True}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": ["q_prjo"]}, "q_proj"),
        ({"target": r".*\.nothing"}, "matches no layer"),
        ({"layers": [7]}, "no such layers"),
        ({"layers": [1, 7]}, "among its targets: [7]"),
        ({"rank": 65}, "rank is 65, and the layers of this model are 64 wide"),
        ({"experts": True}, "no fused expert weights"),
        ({"groups": ["vision"]}, "no part 'vision'"),
    ],
)
def test_what_matches_nothing_is_refused(tmp_path, options, words):
    with pytest.raises(InputError) as caught:
        lora_run(tmp_path, **options)
    assert words in str(caught.value)


def test_adapter_of_another_base_names_the_shapes(tmp_path):
    run = lora_run(tmp_path / "a")
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "saved")
    wider = ModelFamily(
        "Llama", "Meta", ("llama",), tiny={"llama": {"hidden_size": 96, "head_dim": 24}}
    )
    with pytest.raises(InputError, match=r"another base model .*\[16, 64\].*\[16, 96\]"):
        lora_run(tmp_path / "b", family=wider, continue_from=str(tmp_path / "saved"))


def test_vision_layers_are_left_alone_unless_asked_for(tmp_path):
    family = ModelFamily(
        "Halves", "", ("llama",), groups={"vision": "model.layers.0", "language": "model.layers.1"}
    )
    names = [name for name, _ in lora_run(tmp_path, family=family).trainable()]
    assert names
    assert not any("layers.0." in name for name in names)
    both = lora_run(tmp_path, family=family, groups=["vision", "language"])
    assert len(list(both.trainable())) == 2 * len(names)


@pytest.mark.parametrize("target", [["q_proj"], r".*\.q_proj"])
def test_layers_go_with_names_of_targets(tmp_path, target):
    run = lora_run(tmp_path, layers=[1], target=target)
    names = [name for name, _ in run.trainable()]
    assert len(names) == 2
    assert all("layers.1.self_attn.q_proj" in name for name in names)


def test_trained_biases_cannot_be_switched_off():
    assert "switchable-adapter" in lora.bind("lora").capabilities().provides
    assert "switchable-adapter" not in lora.bind("lora", {"bias": "all"}).capabilities().provides


def test_the_longest_prefix_says_what_a_layer_belongs_to(tmp_path):
    family = ModelFamily(
        "Nested",
        "",
        ("llama",),
        groups={"vision": "model.layers.0", "projector": "model.layers.0.mlp"},
    )
    names = [n for n, _ in lora_run(tmp_path, family=family, groups=["vision"]).trainable()]
    assert names
    assert not any("mlp" in name for name in names)


def saved_lora(folder, **options):
    run = lora_run(folder, **options)
    run.hook.ft_save_model(run=run, model=run.model, folder=folder / "saved")
    return folder / "saved"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 16}, "adapter.rank is 16 here and 4"),  # the default, but said
        ({"alpha": 3}, "adapter.alpha is 3.0 here and 8"),
        ({"target": ["v_proj"]}, r"adapter.target is \['v_proj'\] here and \['q_proj'\]"),
    ],
)
def test_going_on_with_other_options_is_refused(tmp_path, options, words):
    saved = saved_lora(tmp_path, rank=4, target=["q_proj"])
    with pytest.raises(InputError, match=words):
        lora_run(tmp_path, continue_from=str(saved), **options)
    same = lora_run(tmp_path, continue_from=str(saved), rank=4, target=["q_proj"])
    assert len(list(same.trainable())) == 4


def test_pickled_weights_need_the_policys_leave(tmp_path, monkeypatch):
    saved = saved_lora(tmp_path, rank=4)
    weights = saved / "adapter_model.safetensors"
    torch.save(load_file(weights), saved / "adapter_model.bin")
    weights.unlink()
    monkeypatch.chdir(tmp_path)
    lora_run(tmp_path, continue_from=str(saved), rank=4)
    monkeypatch.setenv("FT_POLICY", "curated")
    with pytest.raises(InputError, match="an adapter without safetensors needs leave"):
        lora_run(tmp_path, continue_from=str(saved), rank=4)


def test_what_is_said_of_going_on_holds_from_any_folder(tmp_path, monkeypatch):
    saved_lora(tmp_path, rank=4)
    options = lora.bind("lora", {"continue_from": "saved"}, folder=tmp_path).options
    assert (options.rank, options.alpha) == (4, 8)
    assert options.continue_from == tmp_path / "saved"
    monkeypatch.chdir(tmp_path)
    assert lora.bind("lora", {"continue_from": "saved"}).options.continue_from.is_absolute()
    # as a resumed run binds it: every value is there
    again = lora.bind("lora", options.model_dump(mode="json"), folder=tmp_path / "run")
    assert again.options == options


def test_a_folder_without_an_adapter_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no PEFT adapter"):
        lora_run(tmp_path, continue_from=str(tmp_path / "nowhere"))


def test_parts_without_a_language_part_are_all_adapted(tmp_path):
    family = ModelFamily("Parts", "", ("llama",), groups={"layers": "model.layers"})
    names = [name for name, _ in lora_run(tmp_path, family=family).trainable()]
    assert len(names) == 2 * 2 * 7


def test_trained_biases_refuse_to_be_switched_off(tmp_path):
    run = lora_run(tmp_path, bias="all")
    with pytest.raises(InputError, match="cannot be switched off"), run.use_adapter(None):
        pass


def test_whole_modules_train_in_float32_on_a_narrow_base(tmp_path):
    def narrow(folder, **options):
        plugins = [
            lora.bind("lora", {"modules_to_save": ["lm_head", "embed_tokens"], **options}),
            adamw.bind("adamw", {"learning_rate": 1e-2}),
            sft.bind("sft", {"steps": 2, "precision": "bfloat16"}),
        ]
        return tiny_run(folder, plugins, family=Narrow("Llama", "", ("llama",)))

    run = narrow(tmp_path)
    assert {p.dtype for _, p in run.trainable()} == {torch.float32}
    train(run)
    logits(run.model)  # outside of autocast, as text is generated
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "saved")
    again = narrow(tmp_path, continue_from=str(tmp_path / "saved"))
    trained = dict(run.trainable())
    assert all(p.equal(trained[name]) for name, p in again.trainable())


class Narrow(ModelFamily):
    """Loads its weights in bfloat16, as on an accelerator."""

    def bind(self, name, options=None, **more):
        return super().bind(name, {"dtype": "bfloat16", **(options or {})}, **more)
