import pytest
import torch
from harness import logits, save, tiny_run, train
from tiny import write_tiny

from ft.api import RunError
from ft_adapter_lora import adapter as lora
from ft_exporter_merged import exporter as merged
from ft_model_smollm2 import family
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def finished_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        lora.bind("lora"),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 5, "precision": "float32"}),
        merged.bind("merged", options),
    ]
    run = tiny_run(folder, plugins, family=family)
    train(run)
    save(run)
    return run


def test_a_plain_model_with_the_adapter_inside(tmp_path):
    from transformers import AutoModelForCausalLM

    run = finished_run(tmp_path, shard_size="200KB")
    folder = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    assert len(list(folder.glob("*.safetensors"))) > 1
    plain = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(plain), logits(run.model), rtol=1e-4, atol=1e-4)


def test_weights_can_be_written_in_another_type(tmp_path):
    run = finished_run(tmp_path, dtype="bfloat16")
    folder = run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    from safetensors.torch import load_file

    assert {t.dtype for t in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}


def test_a_merge_that_moves_the_answers_is_refused(tmp_path):
    run = finished_run(tmp_path, tolerance=1e-12)
    with pytest.raises(RunError, match="merging moves log-probabilities"):
        run.selection.call(run.part("exporter"), "ft_export", run=run, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
