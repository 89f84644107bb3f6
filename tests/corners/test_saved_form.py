"""Corner: an adapter whose saved form is not its trained form (PiSSA, arXiv:2404.02948)."""

from __future__ import annotations

import copy

import torch
from harness import assert_resumes, changed, logits, save, tiny_run, train, weights
from safetensors.torch import save_file

from ft.api import Field, hookimpl
from ft_adapter_peft import PeftAdapter
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer


class Pissa(PeftAdapter):
    """LoRA on the principal singular vectors; the base keeps what they leave over.

    Saved is the difference to the start as a LoRA of twice the rank, for the base as it was:
    BA - B0 A0 = [B, -B0] [A; A0].
    """

    # with the adapter off the base is the residual, not the model before training: it is
    # neither switchable nor a frozen base
    accepts = frozenset({"packing"})
    provides = frozenset({"mergeable"})

    class Options(PeftAdapter.Options):
        rank: int = Field(4, gt=0, description="inner width of the update")

    def peft_config(self, run, model):
        from peft import LoraConfig

        rank = self.options.rank
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=rank,
            lora_alpha=rank,
            target_modules=self.targets(run, model),
            init_lora_weights="pissa",
        )

    @hookimpl
    def ft_adapt_model(self, run, model):
        adapted = super().ft_adapt_model(run, model)
        self.start = {k: v.clone() for k, v in self._tensors(adapted).items()}
        return adapted

    def _tensors(self, model):
        from peft import get_peft_model_state_dict

        return get_peft_model_state_dict(model)

    @hookimpl
    def ft_save_model(self, run, model, folder):
        config = copy.copy(model.peft_config["default"])
        config.r, config.lora_alpha = 2 * config.r, 2 * config.lora_alpha
        config.init_lora_weights = True
        config.inference_mode = True
        config.base_model_name_or_path = run.source
        config.save_pretrained(folder)
        tensors = {
            name: torch.cat([now, self.start[name]])
            if "lora_A" in name
            else torch.cat([now, -self.start[name]], dim=1)
            for name, now in self._tensors(model).items()
        }
        save_file(tensors, folder / "adapter_model.safetensors")
        return True


OPTIONS = {"batch_size": 4, "epochs": 4, "save_every": 3, "keep_checkpoints": 9}


def make(folder):
    return tiny_run(
        folder,
        [
            trainer.bind("sft", OPTIONS),
            optimizer.bind("adamw", {"learning_rate": 3e-3}),
            Pissa().bind("pissa"),
        ],
    )


def test_restored_onto_the_original_base_it_is_what_was_trained(tmp_path):
    run = make(tmp_path)
    base = run.load_base()
    inner = run.model.get_base_model().model.layers[0].mlp.down_proj.base_layer.weight
    assert not torch.allclose(inner, base.model.layers[0].mlp.down_proj.weight)
    torch.testing.assert_close(logits(run.model), logits(base), rtol=1e-4, atol=1e-4)

    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert all("lora_" in name for name in changed(run, before))
    trained = logits(run.model)
    assert not torch.allclose(trained, logits(base), atol=1e-2)

    save(run)
    restored = run.load_result()
    torch.testing.assert_close(logits(restored), trained, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(run.merge(restored)), trained, rtol=1e-4, atol=1e-4)


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path), 3)
