"""The architecture by itself: what ``modeling.py`` promises, checked on random weights."""

import pytest
import torch

from ft_model_refrain import family
from ft_model_refrain.modeling import Refrain, RefrainForCausalLM


def build(**changes):
    config = family.tiny_config("refrain")
    config.initializer_range = 0.2  # so small a model hardly tells tokens apart otherwise
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    return RefrainForCausalLM(config).eval()


def ids(rows, length, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(6, 262, (rows, length), generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_packed_row_gives_what_its_documents_give_alone(attention):
    model = build(_attn_implementation=attention)
    documents = [ids(1, 7), ids(1, 12, seed=2), ids(1, 3, seed=3)]
    positions = torch.cat([torch.arange(d.shape[1]) for d in documents])[None]
    packed = model(torch.cat(documents, 1), position_ids=positions).logits
    alone = torch.cat([model(document).logits for document in documents], 1)
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)
    whole = model(torch.cat(documents, 1)).logits
    assert not torch.allclose(whole[:, 7:], packed[:, 7:], atol=1e-2)


@torch.no_grad()
def test_eager_and_sdpa_agree_under_a_mask():
    tokens, mask = ids(2, 9), torch.ones(2, 9, dtype=torch.long)
    mask[1, :4] = 0
    one, other = (
        build(_attn_implementation=name)(tokens, attention_mask=mask).logits[:, 4:]
        for name in ("eager", "sdpa")
    )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_no_token_sees_what_follows_it():
    model, tokens = build(), ids(1, 10)
    changed = tokens.clone()
    changed[:, 6:] = ids(1, 4, seed=5)
    torch.testing.assert_close(model(tokens).logits[:, :6], model(changed).logits[:, :6])


def test_a_cache_changes_no_answer():
    model, prompt = build(), ids(2, 5)
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(prompt)
    one, other = (
        model.generate(prompt, attention_mask=mask, use_cache=cached, **settings)
        for cached in (True, False)
    )
    assert one.shape[1] > 5
    assert torch.equal(one, other)


def test_recomputed_activations_give_the_same_gradients():
    def gradients(recompute):
        model = build().train()
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        tokens = ids(2, 8)
        model(tokens, labels=tokens).loss.backward()
        return {name: p.grad for name, p in model.named_parameters()}

    plain, recomputed = gradients(False), gradients(True)
    assert all(gradient is not None for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient)


@torch.no_grad()
def test_every_layer_hears_the_embeddings():
    model, tokens = build(), ids(1, 6)
    before = model(tokens).logits
    for module in model.modules():
        if isinstance(module, Refrain):
            assert torch.all(module.weight == 0.1)
            module.weight.zero_()
    assert not torch.allclose(model(tokens).logits, before, atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("tied", [False, True])
def test_saved_and_loaded_it_answers_alike(tmp_path, tied):
    config = family.tiny_config("refrain")
    config.tie_word_embeddings = tied
    model, tokens = RefrainForCausalLM(config).eval(), ids(1, 6)
    assert (model.lm_head.weight is model.embed_tokens.weight) == tied
    model.save_pretrained(tmp_path)
    again = RefrainForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(tokens).logits, model(tokens).logits)
