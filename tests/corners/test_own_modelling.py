"""Corner: a family with modelling code of its own, which transformers does not know."""

from __future__ import annotations

import pytest
import torch
from harness import assert_resumes, changed, logits, save, tiny_run, train, weights
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ft.api import ModelFamily, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


class GruConfig(PretrainedConfig):
    model_type = "ft-corner-gru"

    def __init__(self, vocab_size=512, hidden_size=32, **kwargs):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        super().__init__(**kwargs)


class GruLM(PreTrainedModel):
    """A recurrent language model: no attention, no positions, no cache."""

    config_class = GruConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.gru = nn.GRU(config.hidden_size, config.hidden_size, batch_first=True)
        self.mix = nn.Linear(config.hidden_size, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def get_output_embeddings(self):
        return self.head

    def forward(self, input_ids, attention_mask=None, use_cache=None, **kwargs):
        hidden, _ = self.gru(self.embed(input_ids))
        return CausalLMOutput(logits=self.head(torch.tanh(self.mix(hidden))))


class GruFamily(ModelFamily):
    """Reads and builds its models itself."""

    accepts = frozenset()  # a recurrent state would run from one packed document to the next

    @hookimpl
    def ft_load_config(self, folder):
        return GruConfig.from_pretrained(folder)

    @hookimpl
    def ft_load_model(self, run, folder, config):
        if run.random_weights:
            return GruLM(config).to(run.device, run.weight_dtype)
        return GruLM.from_pretrained(folder, config=config, dtype=run.weight_dtype).to(run.device)

    def tiny_config(self, model_type):
        return GruConfig()


FAMILY = GruFamily("GRU", "nobody", ("ft-corner-gru",), provides=("linear-layers",))


def make(folder, adapter=full, **options):
    if not (folder / "model").exists():
        torch.manual_seed(0)
        GruLM(FAMILY.tiny_config("ft-corner-gru")).save_pretrained(folder / "model")
    options = {"batch_size": 4, "epochs": 4, "save_every": 3, "keep_checkpoints": 9} | options
    return tiny_run(
        folder,
        [
            trainer.bind("sft", options),
            optimizer.bind("adamw", {"learning_rate": 1e-2}),
            adapter.bind("adapter"),
        ],
        family=FAMILY,
        model_type="ft-corner-gru",
    )


@pytest.mark.parametrize("adapter", [full, lora], ids=["full", "lora"])
def test_trains_saves_and_comes_back(tmp_path, adapter):
    run = make(tmp_path, adapter)
    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert changed(run, before) == run.trained_names
    save(run)
    torch.testing.assert_close(logits(run.load_result()), logits(run.model), rtol=0, atol=0)
    assert "ft-corner-gru" not in CONFIG_MAPPING


def test_what_it_cannot_do_is_refused(tmp_path):
    run = make(tmp_path)
    assert not misfits(run.parts())
    packing = trainer.bind("sft", {"packing": True})
    assert [m.plugins[0] for m in misfits([packing, *run.parts()[:1], *run.parts()[2:]])] == [
        run.family
    ]
    with pytest.raises(Exception, match="recompute activations"):
        train(make(tmp_path, gradient_checkpointing=True))


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path, lora), 3)
