"""Corner: kernels that replace attention, need arguments in each pass, exclude each other."""

from __future__ import annotations

import pytest
import torch
from harness import Rows, random_rows, tiny_run, train
from torch.nn import functional
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ft.api import Kernel, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_lora import adapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer

NAME = "ft-corner-documents"


def attention(module, query, key, value, attention_mask, document_ids=None, **kwargs):
    """Attention within documents, which ``document_ids`` of shape (rows, length) number."""
    groups = module.num_key_value_groups
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    queries, keys = query.shape[2], key.shape[2]
    mask = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)[None, None]
    if document_ids is not None:
        mask = mask & (document_ids[:, None, :, None] == document_ids[:, None, None, :])
    out = functional.scaled_dot_product_attention(query, key, value, mask)
    return out.transpose(1, 2).contiguous(), None


class DocumentAttention(Kernel):
    """Keeps packed documents apart by their numbers rather than by a mask."""

    provides = frozenset({"attention-kernel"})
    passes = 0

    @hookimpl
    def ft_patch_config(self, config):
        AttentionInterface.register(NAME, attention)
        config._attn_implementation = NAME

    @hookimpl
    def ft_forward_arguments(self, batch):
        self.passes += 1
        if "attention_mask" in batch:  # padding is a document that nobody reads
            return {"document_ids": batch["attention_mask"]}
        return {"document_ids": (batch["position_ids"] == 0).cumsum(-1)}

    @hookimpl
    def ft_end_process(self):
        AttentionInterface._global_mapping.pop(NAME, None)


class OtherAttention(Kernel):
    provides = frozenset({"attention-kernel"})


def packs():
    rows = random_rows(12)
    joined = Rows([rows[i : i + 3] for i in range(0, 12, 3)])
    type(joined).lengths = property(lambda self: [sum(map(len, _docs(row))) for row in self])
    return joined


def _docs(row):
    return row if isinstance(row, list) else [row]


def make(folder, *kernels, rows=None, **options):
    options = {"batch_size": 2, "epochs": 3, "precision": "float32"} | options
    return tiny_run(
        folder,
        [
            trainer.bind("sft", options),
            optimizer.bind("adamw", {"learning_rate": 3e-3}),
            adapter.bind("lora"),
            *kernels,
        ],
        rows=rows,
    )


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("checkpointing", [True, False], ids=["recomputed", "kept"])
def test_same_training_as_the_plain_path(tmp_path, packed, checkpointing):
    options = {"packing": packed, "gradient_checkpointing": checkpointing}
    rows = packs if packed else random_rows
    plain = train(make(tmp_path, rows=rows(), **options))
    kernel = DocumentAttention().bind("documents")
    run = make(tmp_path, kernel, rows=rows(), **options)
    assert run.model.config._attn_implementation == NAME
    assert train(run) == pytest.approx(plain, rel=1e-4)
    assert kernel.passes > 0

    assert NAME in ALL_ATTENTION_FUNCTIONS
    run.selection.notify("ft_end_process", run=run, ending=True)
    assert NAME not in ALL_ATTENTION_FUNCTIONS


def test_generation_does_without_the_arguments(tmp_path):
    ids = torch.arange(3, 11)[None]
    settings = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}
    plain = make(tmp_path).model.generate(ids, **settings)
    run = make(tmp_path, DocumentAttention().bind("documents"))
    assert run.model.generate(ids, **settings).equal(plain)


def test_two_attention_kernels_exclude_each_other(tmp_path):
    both = [DocumentAttention().bind("documents"), OtherAttention().bind("other")]
    (found,) = misfits(both)
    assert found.capability == "attention-kernel"
    assert "kernel:documents" in found.sentence
    assert "kernel:other" in found.sentence
    assert not misfits(both[:1])
