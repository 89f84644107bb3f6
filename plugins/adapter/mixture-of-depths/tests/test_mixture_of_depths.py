import pytest
import torch
from harness import Rows, logits, random_rows, save, tiny_run, train
from transformers import AutoModelForCausalLM

from ft.api import InputError, ModelFamily
from ft_adapter_mixture_of_depths import adapter as mixture
from ft_adapter_mixture_of_depths.layer import routed_layers
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_cpo import trainer as cpo
from ft_trainer_sft import trainer as sft

IDS = torch.arange(3, 17)[None]


def make(folder, model_type="llama", trainer=None, family=None, **options):
    plugins = [
        trainer or sft.bind("sft", {"batch_size": 4, "steps": 3, "precision": "float32"}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        mixture.bind("mixture-of-depths", options),
    ]
    sizes = {model_type: {"num_hidden_layers": 4}}
    family = family or ModelFamily("Deep", "", (model_type,), tiny=sizes)
    return tiny_run(folder, plugins, family=family, model_type=model_type)


def run_layer(model, layer, number, x):
    """A layer of llama on some tokens at ``number``, as its own class computes it."""
    positions = model.model.rotary_emb(x, torch.tensor([number]))
    mask = torch.ones(len(number), len(number), dtype=torch.bool).tril()[None, None]
    plain = type(layer).__mro__[1]
    return plain.forward(layer, x, attention_mask=mask, position_embeddings=positions)


def by_the_paper(model, ids, capacity):
    """Logits, one layer and one token after the other; equation 1 of the paper."""
    x = model.model.embed_tokens(ids)
    for layer in model.model.layers:
        if layer.router is None:
            x = run_layer(model, layer, list(range(ids.shape[1])), x)
            continue
        scores = layer.router(x)[0]
        best = sorted(range(len(scores)), key=lambda place: -scores[place])
        taken = sorted(
            best[: round(capacity * len(scores))]
            if capacity
            else [place for place in best if scores[place] > 0]
        )
        inner = x[:, taken]
        added = run_layer(model, layer, taken, inner) - inner
        out = x.clone()
        for number, place in enumerate(taken):
            out[:, place] += scores[place] * added[:, number]
        x = out
    return model.lm_head(model.model.norm(x))


def spread_scores(model):
    """About half of the tokens have a score above 0."""
    for layer in routed_layers(model):
        torch.nn.init.normal_(layer.router.weight)
        torch.nn.init.zeros_(layer.router.bias)


@pytest.mark.parametrize("training", [True, False])
def test_it_computes_what_the_paper_says(tmp_path, training):
    model = make(tmp_path, capacity=0.3).model.train(training)
    spread_scores(model)
    with torch.no_grad():
        expected = by_the_paper(model, IDS, 0.3 if training else None)
        found = model(input_ids=IDS, use_cache=False).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("training", [True, False])
def test_padding_takes_no_place(tmp_path, training, attention):
    model = make(tmp_path, capacity=0.4).model.train(training)
    model.set_attn_implementation(attention)
    spread_scores(model)
    ids = torch.cat([torch.cat([IDS[:, :9], torch.zeros(1, 5, dtype=torch.long)], 1), IDS])
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        short, whole = (
            model(input_ids=one, use_cache=False).logits[0] for one in (IDS[:, :9], IDS)
        )
    torch.testing.assert_close(together[0, :9], short, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(together[1], whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
@pytest.mark.parametrize("beams", [1, 2])
def test_generation_with_a_cache_is_that_without(tmp_path, model_type, beams):
    model = make(tmp_path, model_type).model.eval()
    spread_scores(model)
    ids = torch.cat([torch.tensor([[0, 0, 0, 5, 9, 2, 77, 31]]), IDS[:, :8]])
    settings = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "num_beams": beams}
    mask = (ids > 0).long()
    answers = [
        model.generate(ids, attention_mask=mask, pad_token_id=0, use_cache=cached, **settings)
        for cached in (True, False)
    ]
    assert answers[0].equal(answers[1])


def test_routers_learn_to_tell_by_the_token(tmp_path):
    settings = {"batch_size": 8, "steps": 12, "precision": "float32"}
    shallow = ModelFamily("Shallow", "", ("llama",), tiny={"llama": {"num_hidden_layers": 2}})
    run = make(tmp_path, trainer=sft.bind("sft", settings), family=shallow, router_loss=1.0)
    losses = train(run)
    told = [line["routing_agreement"] for line in run.state.history if "loss" in line]
    assert losses[-1] < losses[0]
    assert told[0] == pytest.approx(0.5, abs=0.05)  # at first every token would be taken
    assert told[-1] > 0.9


def test_recomputed_activations_change_nothing(tmp_path):
    settings = {"batch_size": 4, "steps": 2, "precision": "float32"}
    losses = [
        train(make(tmp_path, trainer=sft.bind("sft", {**settings, "gradient_checkpointing": on})))
        for on in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_the_result_is_gone_on_with_and_nothing_else_reads_it(tmp_path):
    run = make(tmp_path, capacity=0.3)
    train(run)
    saved = save(run)
    (tmp_path / "again").mkdir()
    (tmp_path / "again/model").symlink_to(saved)
    again = make(tmp_path / "again")
    assert logits(again.model).equal(logits(run.model))
    assert {layer.capacity for layer in routed_layers(again.model)} == {0.3}
    assert len(list(again.trainable())) == len(list(run.trainable()))
    with pytest.raises(InputError, match=r"capacity is 0\.5 here and 0\.3 in the converted"):
        make(tmp_path / "again", capacity=0.5)
    with pytest.raises(OSError, match="no file named"):
        AutoModelForCausalLM.from_pretrained(saved)
    with pytest.raises(InputError, match="no form that other programs read"):
        run.merge(run.model)


def test_what_cannot_be_routed_is_refused(tmp_path):
    with pytest.raises(InputError, match="every is 5, and this model has 4"):
        make(tmp_path, every=5)
    windows = ModelFamily("Windows", "", ("mistral",), tiny={"mistral": {"sliding_window": 64}})
    with pytest.raises(InputError, match="this model has sliding_attention"):
        make(tmp_path / "model", "mistral", family=windows)


def test_a_trainer_that_cannot_teach_the_routers_is_refused(tmp_path):
    found = random_rows()
    rows = Rows({"chosen": a, "rejected": b} for a, b in zip(found[::2], found[1::2], strict=True))
    plugins = [
        cpo.bind("cpo", {"steps": 2, "precision": "float32"}),
        adamw.bind("adamw"),
        mixture.bind("mixture-of-depths"),
    ]
    run = tiny_run(tmp_path, plugins, rows=rows)
    with pytest.raises(InputError, match="trainer cpo adds no loss of other parts"):
        train(run)
