"""Token losses are those of the full logits."""

from __future__ import annotations

import pytest
import torch
import transformers
from harness import Rows, random_rows
from torch.nn import functional

from ft.training.losses import document_numbers


def expected(logits, batch):
    trained = batch["weights"][:, 1:] > 0
    return functional.cross_entropy(
        logits[:, :-1][trained].float(), batch["input_ids"][:, 1:][trained], reduction="none"
    )


def plain(model, batch):
    inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
    return model(**inputs, use_cache=False).logits


def test_equal_to_full_logits(make):
    run = make("adamw")
    batch = run.collate(run.data[:4])
    found = run.token_losses(run.model, batch)
    torch.testing.assert_close(found.losses, expected(plain(run.model, batch), batch))
    assert found.outputs.logits.shape[1] == len(found.losses)  # no other position was computed
    assert found.documents.unique().tolist() == [0, 1, 2, 3]
    assert found.weights.eq(1).all()


@pytest.mark.parametrize("smoothing", [0.1, 0.7])
def test_a_part_is_spread_over_the_vocabulary(make, smoothing):
    run = make("adamw")
    batch = run.collate(run.data[:4])
    log_p = plain(run.model, batch)[:, :-1][batch["weights"][:, 1:] > 0].float().log_softmax(-1)
    truth = batch["input_ids"][:, 1:][batch["weights"][:, 1:] > 0]
    wanted = -(1 - smoothing) * log_p[range(len(truth)), truth] - smoothing * log_p.mean(-1)
    torch.testing.assert_close(run.token_losses(run.model, batch, smoothing).losses, wanted)


@pytest.mark.parametrize("kernel_accepts", [True, False])
def test_no_kernel_passes_over_smoothing(make, kernel_accepts):
    from ft.api import Kernel
    from ft.recipe.fit import misfits
    from ft_trainer_sft import trainer as sft

    class Fused(Kernel):
        provides = frozenset({"loss-kernel"})
        accepts = Kernel.accepts - (set() if kernel_accepts else {"label-smoothing"})

    parts = [sft.bind("sft", {"label_smoothing": 0.1}), Fused().bind("fused")]
    found = [m for m in misfits(parts) if m.capability == "label-smoothing"]
    assert bool(found) != kernel_accepts
    parts[0] = sft.bind("sft")
    assert not [m for m in misfits(parts) if m.capability == "label-smoothing"]


def test_soft_capping_stays_in_force(make):
    config = transformers.Gemma2Config(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        final_logit_softcapping=2.0,
        initializer_range=0.5,
        attn_implementation="eager",
    )
    run = make("adamw")
    torch.manual_seed(0)
    run.model = transformers.Gemma2ForCausalLM(config)
    batch = run.collate(run.data[:4])
    full = plain(run.model, batch)
    assert full.abs().max() <= 2.0
    assert full.abs().max() > 1.5  # the cap is felt
    torch.testing.assert_close(run.token_losses(run.model, batch).losses, expected(full, batch))


def test_a_model_without_a_head_to_be_found(make):
    class Bare(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, **inputs):
            return self.inner(**inputs)

    run = make("adamw")
    batch = run.collate(run.data[:4])
    full = plain(run.model, batch)
    run.model = Bare(run.model)
    torch.testing.assert_close(run.token_losses(run.model, batch).losses, expected(full, batch))


def test_a_micro_batch_without_a_trained_token_has_a_graph(make):
    run = make("adamw")
    batch = run.collate(run.data[:2])
    batch["weights"] = batch["weights"] * 0
    del batch["predicts"]
    found = run.token_losses(run.model, batch)
    assert found.losses.shape == (0,)
    found.losses.sum().backward()
    # every parameter takes part: a wrapper that averages gradients waits for all of them
    assert all(p.grad is not None and not p.grad.any() for _, p in run.trainable())


@pytest.mark.parametrize("size", [2, 3])
def test_documents_of_packed_batches(make, size):
    rows = random_rows(6)
    run = make("adamw")
    packs = Rows([rows[i : i + size] for i in range(0, 6, size)])
    packed = run.collate(packs)
    numbers = document_numbers(packed)
    place = 0
    for pack, row in zip(packs, numbers.tolist(), strict=True):
        seen = []
        for document in pack:
            (number,) = set(row[place : place + len(document)])
            seen.append(number)
            place += len(document)
        assert seen == sorted(set(seen))
        place = 0
    found, apart = (
        run.token_losses(run.model, packed),
        run.token_losses(run.model, run.collate(rows)),
    )
    torch.testing.assert_close(found.losses, apart.losses, rtol=1e-4, atol=1e-5)
    assert len(found.documents.unique()) == 6


def test_another_model_than_the_runs_own(make):
    run = make("adamw")
    reference = run.load_base()
    with torch.no_grad():
        reference.lm_head.weight.mul_(2)
    batch = run.collate(run.data[:4])
    found = run.token_losses(reference, batch)
    torch.testing.assert_close(found.losses, expected(plain(reference, batch), batch))


def test_an_output_layer_that_is_never_called(make):
    run = make("adamw")
    head, forward = run.model.lm_head, run.model.lm_head.forward
    head.__dict__["_call_impl"] = forward  # its hooks are passed over
    batch = run.collate(run.data[:4])
    found = run.token_losses(run.model, batch)
    torch.testing.assert_close(found.losses, expected(plain(run.model, batch), batch))
