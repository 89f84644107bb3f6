"""Gemma 3n (Google, 2025): the text of models for small devices, in the chat format of Gemma 3.

The language model is loaded and saved alone: layers in several streams (AltUp, arXiv:2301.13310)
with an embedding of their own for each token, the last of which share keys and values. The towers
that see and hear, of which the former needs the package timm, are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import TINY, Checkpoint, ModelFamily, Run, hookimpl


class Gemma3n(ModelFamily):
    """Loads the language model of a checkpoint, with its tokenizer.

    transformers (5.23) takes the root of an embedding's mean square, which has no gradient where
    the embedding of padding is zero, as it is in new weights: all gradients became NaN.
    """

    @hookimpl
    def ft_patch_model(self, model: Any) -> None:
        model.get_input_embeddings().register_forward_hook(
            lambda _, __, output: output.masked_fill((output == 0).all(-1, keepdim=True), 1e-5)
        )

    def classes(self, model_type: str) -> tuple[type, type]:
        import transformers

        return transformers.Gemma3nTextConfig, transformers.Gemma3nForCausalLM

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder)


_TINY = {
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_kv_shared_layers": 2,
    "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0],
    "sliding_window": 32,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": TINY["vocab_size"],
    "laurel_rank": 8,
}

family = Gemma3n(
    title="Gemma 3n",
    vendor="Google",
    model_types=("gemma3n", "gemma3n_text"),
    templates="gemma3",
    checkpoints=(
        Checkpoint("google/gemma-3n-E2B", parameters="E2B", base=True),
        Checkpoint("google/gemma-3n-E4B", parameters="E4B", base=True),
        Checkpoint("google/gemma-3n-E2B-it", parameters="E2B"),
        Checkpoint("google/gemma-3n-E4B-it", parameters="E4B"),
    ),
    tiny={"gemma3n": _TINY, "gemma3n_text": _TINY},
    accepts=("packing",),
)
