"""Any model that transformers' own ``AutoModelForCausalLM`` can load.

Chosen where no family plugin claims a checkpoint's model type. Nothing is known of such a
model beyond what transformers knows, so what needs to be proved for a family is not accepted.
"""

from __future__ import annotations

from pathlib import Path

from ft.api import ModelFamily, Run, hookimpl


class AutoFamily(ModelFamily):
    """A family that leaves all loading to core."""

    @hookimpl
    def ft_load_config(self, run: Run, folder: Path) -> None:
        run.progress.warn(
            f"no model family is installed for {folder.name}: it is loaded as transformers loads "
            "any causal language model, with its own chat template and without packing"
        )


family = AutoFamily(
    title="Any causal language model",
    vendor="various",
    provides=("linear-layers",),
    accepts=(),
    # two to be tried with: one with rotary positions and an attention window, one with learned
    # positions and dropout
    tiny={"mistral": {"sliding_window": 32}, "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64}},
)
