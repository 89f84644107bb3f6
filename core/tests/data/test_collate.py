"""Micro batches: shapes and masks, and packed rows that learn exactly what unpacked ones do."""

from types import SimpleNamespace

import pytest
import torch

from ft.api import Encoded, RunError
from ft.data.collate import collate


def run(attention="sdpa", pad=0):
    return SimpleNamespace(
        device=torch.device("cpu"),
        parts=lambda kind: [],
        tokenizer=SimpleNamespace(pad_token_id=pad, eos_token_id=7),
        config=SimpleNamespace(_attn_implementation=attention),
        family=SimpleNamespace(padded_media=frozenset({"padded"}), joined_media={"joined": -1}),
    )


A = Encoded([5, 6, 7], [0, 1, 0.5], per_token={"token_type_ids": [1, 2, 3]})
B = Encoded([8, 9], [1, 1])


def plain(batch):
    return {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def test_rows_are_padded_on_the_right():
    batch = collate(run(pad=None), [A, B])
    assert plain(batch) == {
        "input_ids": [[5, 6, 7], [8, 9, 7]],
        "labels": [[-100, 6, 7], [-100, 9, -100]],
        "weights": [[0, 1, 0.5], [0, 1, 0]],
        "token_type_ids": [[1, 2, 3], [0, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
        "predicts": [0, 1, 3],
        "real_tokens": 5,
    }
    assert batch["labels"].dtype == batch["input_ids"].dtype == torch.int64
    assert batch["weights"].dtype == torch.float32


def test_packs_restart_positions_and_have_no_mask():
    batch = collate(run(), [[A, B], [B]])
    assert plain(batch) | {"documents": batch["documents"][:6].tolist()} == {
        "input_ids": [[5, 6, 7, 8, 9], [8, 9, 0, 0, 0]],
        "labels": [[-100, 6, 7, -100, 9], [-100, 9, -100, -100, -100]],
        "weights": [[0, 1, 0.5, 0, 1], [0, 1, 0, 0, 0]],
        "token_type_ids": [[1, 2, 3, 0, 0], [0, 0, 0, 0, 0]],
        "position_ids": [[0, 1, 2, 0, 1], [0, 1, 0, 1, 2]],
        "predicts": [0, 1, 3, 5],
        "documents": [0, 3, 5, 7, 10, 10],
        "longest": 64,
        "real_tokens": 7,
    }


def test_flash_attention_gets_packs_as_one_row_without_padding():
    batch = collate(run("flash_attention_2"), [[A, B], [B]])
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1]]


def test_mappings_are_collated_by_name():
    batch = collate(
        run(),
        [{"chosen": A, "rejected": B, "margin": 1}, {"chosen": B, "rejected": B, "margin": 2}],
    )
    assert batch["chosen"]["input_ids"].shape == (2, 3)
    assert batch["rejected"]["input_ids"].shape == (2, 2)
    assert batch["margin"].tolist() == [1, 2]


def test_media_are_joined_in_the_order_of_rows():
    rows = [
        Encoded([1, 2], [0, 1], media={"pixel_values": torch.full((n, 4), float(n))})
        for n in (2, 1)
    ]
    plain = Encoded([1, 2], [0, 1])
    batch = collate(run(), [rows[0], plain, rows[1]])
    assert batch["pixel_values"].tolist() == [[2] * 4, [2] * 4, [1] * 4]
    assert "pixel_values" not in collate(run(), [plain])
    odd = Encoded([1, 2], [0, 1], media={"pixel_values": torch.zeros(1, 5)})
    with pytest.raises(RunError, match="pixel_values"):
        collate(run(), [rows[0], odd])


def test_media_of_other_sizes_get_zeros_behind_where_the_family_says_so():
    rows = [
        Encoded([1, 2], [0, 1], media={"padded": torch.ones(*shape)})
        for shape in ((1, 2, 3), (2, 3, 1))
    ]
    found = collate(run(), rows)["padded"]
    assert found.shape == (3, 3, 3)
    assert found[0].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert found[1:].tolist() == [[[1, 0, 0]] * 3] * 2


def test_media_follow_one_another_along_the_dimension_that_the_family_says():
    rows = [Encoded([1, 2], [0, 1], media={"joined": torch.full((1, 2, n), n)}) for n in (1, 2)]
    assert collate(run(), rows)["joined"].tolist() == [[[1, 2, 2]] * 2]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_losses_and_gradients_equal_unpacked_ones(attention):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation=attention,
    )
    model = LlamaForCausalLM(config).float()
    documents = []
    for length in (7, 1, 12, 3, 5, 9):
        ids = torch.randint(3, 64, (length,)).tolist()
        weights = (torch.randint(0, 3, (length,)) / 2).tolist()
        documents.append(Encoded(ids, weights))

    def learn(rows):
        model.zero_grad()
        batch = collate(run(attention), rows)
        inputs = {k: v for k, v in batch.items() if k not in ("labels", "weights")}
        logits = model(**inputs, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), batch["labels"][:, 1:], reduction="none"
        )
        weights = batch["weights"][:, 1:]
        (losses * weights).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
        return losses[weights > 0], weights[weights > 0], gradient

    losses, weights, gradient = learn(documents)
    packs = [documents[:2] + documents[3:5], [documents[2], documents[5]]]
    order = [d for pack in packs for d in pack]
    again, _, _ = learn(order)
    packed = learn(packs)
    torch.testing.assert_close(packed[0], again, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed[2], gradient, atol=1e-5, rtol=1e-4)
    assert packed[1].sum() == weights.sum()
    assert len(losses) == len(packed[0])
