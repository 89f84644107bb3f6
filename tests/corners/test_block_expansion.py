"""Corner: an adapter that changes the architecture (LLaMA-Pro, arXiv:2401.02415)."""

from __future__ import annotations

import copy

import torch
from harness import assert_resumes, changed, logits, save, tiny_run, train, weights
from transformers import AutoModelForCausalLM

from ft.api import Adapter, Field, PluginOptions, hookimpl
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


class BlockExpansion(Adapter):
    """A copy after every n-th decoder block, its output projections at zero, trains alone."""

    needs = frozenset({"decoder-layers"})
    provides = frozenset({"changed-architecture"})

    class Options(PluginOptions):
        every: int = Field(1, gt=0, description="decoder blocks before each new one")
        outputs: list[str] = Field(
            ["self_attn.o_proj", "mlp.down_proj"],
            description="layers of a block that write into the residual stream",
        )

    @hookimpl
    def ft_adapt_model(self, model):
        model.requires_grad_(False)
        decoder = model.get_decoder()
        blocks = []
        for number, block in enumerate(decoder.layers, 1):
            blocks.append(block)
            if number % self.options.every == 0:
                blocks.append(self._new(block))
        for number, block in enumerate(blocks):
            block.self_attn.layer_idx = number  # its place in the key-value cache
        decoder.layers = torch.nn.ModuleList(blocks)
        model.config.num_hidden_layers = len(blocks)
        return model

    def _new(self, block):
        new = copy.deepcopy(block).requires_grad_(True)
        for name in self.options.outputs:
            torch.nn.init.zeros_(new.get_submodule(name).weight)
        return new


OPTIONS = {"batch_size": 4, "epochs": 3, "save_every": 3, "keep_checkpoints": 9}


def make(folder):
    return tiny_run(
        folder,
        [
            trainer.bind("sft", OPTIONS),
            optimizer.bind("adamw", {"learning_rate": 3e-3}),
            BlockExpansion().bind("expand"),
        ],
    )


def test_new_blocks_train_and_the_result_is_a_plain_model(tmp_path):
    run = make(tmp_path)
    assert run.model.config.num_hidden_layers == 4
    torch.testing.assert_close(logits(run.model), logits(run.load_base()), rtol=0, atol=0)

    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    moved = changed(run, before)
    assert moved
    assert all(".layers.1." in name or ".layers.3." in name for name in moved)

    folder = save(run)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    assert plain.config.num_hidden_layers == 4
    torch.testing.assert_close(logits(plain), logits(run.model))
    torch.testing.assert_close(logits(run.load_result()), logits(run.model))
    # and the base is still at hand, as another trainer's reference would want it
    assert run.load_base().config.num_hidden_layers == 2


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path), 3)


def test_new_blocks_have_their_own_place_in_the_cache(tmp_path):
    model = make(tmp_path).model.eval()
    ids = torch.arange(3, 9)[None]
    for block in (1, 3):  # not zero, or the cache of the new blocks would not matter
        torch.nn.init.normal_(model.model.layers[block].self_attn.o_proj.weight, std=0.2)
    cached = model.generate(ids, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    plain = model.generate(
        ids, max_new_tokens=6, min_new_tokens=6, do_sample=False, use_cache=False
    )
    assert cached.equal(plain)
