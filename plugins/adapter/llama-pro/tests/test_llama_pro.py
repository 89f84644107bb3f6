import pytest
import torch
from harness import changed, logits, save, tiny_run, train, weights
from transformers import AutoModelForCausalLM

from ft.api import InputError, ModelFamily
from ft_adapter_llama_pro import adapter as llama_pro
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


def make(folder, model_type="llama", depth=4, **options):
    sizes = {model_type: {"num_hidden_layers": depth}}
    return tiny_run(
        folder,
        [
            trainer.bind("sft", {"batch_size": 4, "steps": 6}),
            optimizer.bind("adamw", {"learning_rate": 3e-3}),
            llama_pro.bind("llama-pro", options),
        ],
        family=ModelFamily("Deep", "", (model_type,), tiny=sizes),
        model_type=model_type,
    )


def layer_of(name):
    return next(int(part) for part in name.split(".") if part.isdigit())


# gpt2 has other names and Conv1D layers, qwen3 a list by layer in its configuration
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "qwen3"])
def test_new_layers_train_and_the_result_is_a_plain_model(tmp_path, model_type):
    run = make(tmp_path, model_type, layers=2)
    assert logits(run.model).equal(logits(run.load_base()))
    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert {layer_of(name) for name in changed(run, before)} == {2, 5}
    plain = AutoModelForCausalLM.from_pretrained(save(run))
    assert plain.config.num_hidden_layers == 6
    torch.testing.assert_close(logits(plain), logits(run.model))
    assert run.load_base().config.num_hidden_layers == 4


@pytest.mark.parametrize(
    ("new", "places"), [(1, {4}), (2, {2, 5}), (3, {2, 4, 6}), (4, {1, 3, 5, 7})]
)
def test_one_stands_after_each_group(tmp_path, new, places):
    trained = {layer_of(name) for name, _ in make(tmp_path, layers=new).trainable()}
    assert trained == places


def test_new_layers_have_their_own_place_in_the_cache(tmp_path):
    model = make(tmp_path, layers=2).model.eval()
    for block in (2, 5):  # not zero, or the cache of the new layers would not matter
        torch.nn.init.normal_(model.model.layers[block].self_attn.o_proj.weight, std=0.2)
    ids = torch.arange(3, 9)[None]
    settings = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    cached = model.generate(ids, **settings)
    assert cached.equal(model.generate(ids, **settings, use_cache=False))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": 5}, "layers is 5, and this model has 4"),
        ({"layers": 1, "outputs": ["down_proj"]}, "further outputs into the residual stream"),
    ],
)
def test_what_would_not_start_at_the_base_is_refused(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        make(tmp_path, **options)
