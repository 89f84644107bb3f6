"""What a first model begins with: a configuration and a tokenizer, and no weights yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_start(folder: Path, **sizes: Any) -> int:
    """Write both into ``folder``; returns how many parameters a model of these sizes has.

    ``sizes`` are arguments of ``RefrainConfig``. Pre-train from there with
    ``model.random_weights: true``.
    """
    import torch

    from ft_model_refrain.configuration import RefrainConfig
    from ft_model_refrain.modeling import RefrainForCausalLM
    from ft_model_refrain.tokenizer import make_tokenizer

    tokenizer = make_tokenizer(RefrainConfig(**sizes).max_position_embeddings)
    config = RefrainConfig(
        **sizes, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with torch.device("meta"):  # shapes alone
        model = RefrainForCausalLM(config)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()
