"""Corner: an adapter that adds virtual tokens (prompt tuning, arXiv:2104.08691)."""

from __future__ import annotations

import pytest
import torch
from harness import assert_resumes, changed, logits, save, tiny_run, train, weights

from ft.api import Field, InputError
from ft.recipe.fit import misfits
from ft_adapter_peft import PeftAdapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


class PromptTuning(PeftAdapter):
    """Learned embeddings in front of each sequence; the model itself stays as it is."""

    needs = frozenset()
    # no packing: the virtual tokens would stand before the first document of a pack only
    accepts = frozenset({"quantized-base"})
    provides = frozenset({"frozen-base", "switchable-adapter", "virtual-tokens"})

    class Options(PeftAdapter.Options):
        tokens: int = Field(4, gt=0, description="number of virtual tokens")

    def peft_config(self, run, model):
        from peft import PromptTuningConfig

        return PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.options.tokens)


def make(folder, **options):
    options = {"batch_size": 4, "epochs": 5, "save_every": 4, "keep_checkpoints": 9} | options
    return tiny_run(
        folder,
        [
            trainer.bind("sft", {"precision": "float32", **options}),
            optimizer.bind("adamw", {"learning_rate": 0.1}),
            PromptTuning().bind("prompt"),
        ],
    )


def test_virtual_tokens_train_alone_and_come_back(tmp_path):
    run = make(tmp_path)
    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0] - 0.1
    assert changed(run, before) == {"prompt_encoder.default.embedding.weight"}

    save(run)
    restored = run.load_result()
    torch.testing.assert_close(logits(restored), logits(run.model), rtol=0, atol=0)
    with run.use_adapter(None):
        torch.testing.assert_close(logits(run.model), logits(run.load_base()), rtol=0, atol=0)
    with pytest.raises(InputError, match="cannot be merged"):
        run.merge(restored)


def test_token_losses_stand_at_the_right_tokens(tmp_path):
    run = make(tmp_path)
    batch = run.collate(run.data[:3])
    found = run.token_losses(run.model, batch)
    full = run.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    full = full[:, 4:]  # behind the virtual tokens
    trained = batch["weights"][:, 1:] > 0
    expected = torch.nn.functional.cross_entropy(
        full[:, :-1][trained], batch["input_ids"][:, 1:][trained], reduction="none"
    )
    torch.testing.assert_close(found.losses, expected)


def test_packing_is_refused(tmp_path):
    run = make(tmp_path)
    packed = trainer.bind("sft", {"packing": True})
    refused = [m for m in misfits([packed, *run.parts("adapter")]) if m.capability == "packing"]
    assert len(refused) == 1
    assert "adapter:prompt" in refused[0].sentence
    assert not misfits(run.parts())


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path), 4)
