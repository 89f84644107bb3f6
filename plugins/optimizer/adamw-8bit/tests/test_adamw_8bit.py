import torch
from harness import tiny_run, train, weights

from ft_adapter_full import adapter
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer as adamw
from ft_optimizer_adamw_8bit import optimizer as adamw_8bit
from ft_optimizer_adamw_8bit import paged
from ft_trainer_sft import trainer


def make(folder, optimizer, adapter=adapter.bind("full"), **options):  # noqa: B008
    options = {"learning_rate": 1e-2, "weight_decay": 0.1, **options}
    quiet = {"steps": 4, "precision": "float32", "max_grad_norm": None}
    parts = [adapter, optimizer.bind("optimizer", options), trainer.bind("sft", quiet)]
    return tiny_run(folder, parts)


def test_in_32_bits_it_is_adamw(tmp_path):
    ours, theirs = make(tmp_path, paged), make(tmp_path, adamw)
    train(ours)
    train(theirs)
    for name, weight in weights(theirs).items():
        torch.testing.assert_close(weights(ours)[name], weight, rtol=1e-4, atol=1e-5)


def test_large_matrices_have_8_bits_and_embeddings_32(tmp_path):
    run = make(tmp_path, adamw_8bit)
    losses = train(run)
    assert losses[-1] < losses[0]
    kinds = {
        name: run.optimizer.state[p]["state1"].dtype
        for name, p in run.trainable()
        if p.numel() >= 4096
    }
    assert kinds.pop("model.embed_tokens.weight") == torch.float32
    assert set(kinds.values()) == {torch.uint8}


def test_8_bits_move_nearly_as_32(tmp_path):
    coarse, fine = make(tmp_path, adamw_8bit), make(tmp_path, adamw)
    before = weights(fine)["lm_head.weight"]
    train(coarse)
    train(fine)
    moved = [weights(run)["lm_head.weight"] - before for run in (coarse, fine)]
    assert 0 < float((moved[0] - moved[1]).norm() / moved[1].norm()) < 0.1


def test_lora_trains_with_it(tmp_path):
    losses = train(make(tmp_path, adamw_8bit, lora.bind("lora", {"rank": 8})))
    assert losses[-1] < losses[0]


def test_layerwise_is_the_same_with_gradients_freed(tmp_path):
    usual, layerwise = (make(tmp_path, adamw_8bit, layerwise=x) for x in (False, True))
    assert train(usual) == train(layerwise)
    for name, weight in weights(usual).items():
        assert weights(layerwise)[name].equal(weight), name
    assert all(parameter.grad is None for _, parameter in layerwise.trainable())
    assert "gradient-clipping" not in layerwise.part("optimizer").capabilities().accepts
