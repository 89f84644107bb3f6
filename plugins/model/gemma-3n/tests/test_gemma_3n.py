import json

import torch
from families import run_of
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from ft.api import Progress
from ft.conformance.tiny import write_tiny
from ft_model_gemma3 import template
from ft_model_gemma_3n import family


def test_loads_the_language_model_of_a_whole_checkpoint(tmp_path):
    """Published checkpoints have the towers, too, and a configuration around all parts."""
    folder = write_tiny(tmp_path, family, "gemma3n", template)
    alone = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    tensors = load_file(folder / "model.safetensors")
    whole = {name.replace("model.", "model.language_model.", 1): t for name, t in tensors.items()}
    whole["model.vision_tower.weight"] = torch.zeros(1)
    save_file(whole, folder / "model.safetensors", {"format": "pt"})
    text = json.loads((folder / "config.json").read_text())
    config = {"model_type": "gemma3n", "text_config": text, "vision_config": {}, "audio_config": {}}
    (folder / "config.json").write_text(json.dumps(config))

    run = run_of(family, folder)
    run.device, run.weight_dtype, run.progress = torch.device("cpu"), torch.float32, Progress()
    loaded = run.hook.ft_load_model(
        run=run, folder=folder, config=run.config, quantization=None
    ).state_dict()
    assert loaded.keys() == alone.keys()
    assert all(loaded[name].equal(tensor) for name, tensor in alone.items())
