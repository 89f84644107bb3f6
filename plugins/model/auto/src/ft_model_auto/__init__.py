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
    title="Any causal language model", vendor="various", provides=("linear-layers",), accepts=()
)
