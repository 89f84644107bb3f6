"""Checkpoints of published shapes and random weights: ``make_model.py FOLDER 1b 8b``.

They are made on the device. Speed and memory do not depend on what the weights are. The tokenizer
is the one in ``--tokenizer``; its padding token becomes one that no text holds, so that padding
can be told from a turn's end.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from work import write_tokenizer

LLAMA_2 = {
    "vocab_size": 49152,
    "head_dim": 128,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
SIZES: dict[str, dict[str, Any]] = {
    # for a try on a CPU
    "tiny": {
        "vocab_size": 49152,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "tie_word_embeddings": True,
    },
    "1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "gemma-2b": {
        "model_type": "gemma",
        "vocab_size": 256000,
        "hidden_size": 2048,
        "intermediate_size": 16384,
        "num_hidden_layers": 18,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
    },
    "llama-2-7b": LLAMA_2
    | {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
    "llama-2-13b": LLAMA_2
    | {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
    },
}
"""Sizes as published: Llama 3.2 1B and 3.1 8B (arXiv:2407.21783), Gemma (arXiv:2403.08295),
Llama 2 (arXiv:2307.09288) but for the vocabulary, which is the tokenizer's."""


def make(size: str, folder: Path, tokenizer: Path) -> None:
    """Write the checkpoint of one size, in bfloat16, to ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    write_tokenizer(folder, tokenizer)
    words = AutoTokenizer.from_pretrained(folder)

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    shape = {"model_type": "llama", "rope_theta": 500000.0, **SIZES[size]}
    theta = shape.pop("rope_theta")
    config = AutoConfig.for_model(
        **shape,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    # older releases of transformers, which some stacks pin, read it from here
    file = folder / "config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"rope_theta": theta}),
        encoding="utf-8",
    )


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="one folder is made in it for each size")
    parser.add_argument("sizes", nargs="+", choices=list(SIZES))
    parser.add_argument("--tokenizer", type=Path, required=True, help="its folder")
    chosen = parser.parse_args()
    for size in chosen.sizes:
        folder = chosen.folder / size
        if (folder / "config.json").exists():
            continue
        started = time.perf_counter()
        make(size, folder, chosen.tokenizer)
        print(f"{folder}: {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
