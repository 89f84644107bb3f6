"""Liger's fused norms, activations and rotary positions, where it is installed."""

from __future__ import annotations

import os
from importlib import metadata
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ft.api import (
    Batch,
    Capabilities,
    Field,
    InputError,
    Kernel,
    PluginOptions,
    Run,
    TokenLosses,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import nn

OLDEST = (0, 8, 5)
"""Versions before give wrong gradients to losses that are weighted token by token."""
INSTALL = "install it: pip install 'liger-kernel>={}'".format(".".join(map(str, OLDEST)))


class Liger(Kernel):
    """Liger's kernels in the layers of the loaded model (Hsu et al., 2024, arXiv:2410.10989).

    Norms, gated activations and rotary positions become one kernel each, which saves the memory
    traffic between their small operations. Which of them Liger has depends on the family; what
    it lacks stays as it is, with a warning. ``loss`` adds its cross-entropy, which is one with
    the output layer and holds a slice of the logits at a time.

    It needs an accelerator that triton can compile for. With ``TRITON_INTERPRET=1`` triton runs
    on a CPU, for tests: rotary positions and the loss work there, the rest does not.
    """

    paper = "arXiv:2410.10989"

    class Options(PluginOptions):
        rms_norm: bool = Field(True, description="fuse the norms")
        activation: bool = Field(True, description="fuse the activation of gated layers")
        rotary: bool = Field(True, description="fuse the rotary positions")
        loss: bool = Field(False, description="fuse the loss with the output layer")

    _former: tuple[tuple[ModuleType, str, Any], ...] = ()

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"loss-kernel"}) if self.options.loss else said

    @hookimpl
    def ft_patch_config(self, run: Run) -> None:
        interpreted = run.device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
        if run.device.type in ("cpu", "mps") and not interpreted:
            raise InputError(
                "kernel liger needs an accelerator with triton, and this run is on "
                f"{run.device.type}",
                hint="leave it out of kernels",
            )
        require_liger()

    @hookimpl
    def ft_patch_model(self, run: Run, model: nn.Module) -> None:
        from ft_kernel_liger.patch import WORDS, patch

        parts = [name for name in WORDS if getattr(self.options, name)]
        if not parts:
            return
        done = patch(model, parts)
        # the latest first, so that what was there before the first comes back last
        self._former = (*done.former, *self._former)
        run.progress.say(f"kernel liger: {done.text()}")
        if lacking := [name for name in parts if not done.counts.get(name)]:
            run.progress.warn(
                f"kernel liger has no {' and no '.join(lacking)} for {run.config.model_type}"
            )

    @hookimpl
    def ft_end_process(self) -> None:
        from ft_kernel_liger.patch import put_back

        put_back(self._former)
        self._former = ()

    @hookimpl
    def ft_token_losses(
        self, run: Run, model: nn.Module, batch: Batch, label_smoothing: float
    ) -> TokenLosses | None:
        found = run.predictions(model, batch) if self.options.loss else None
        if found is None or not len(found.targets):  # Liger divides by their number
            return None
        from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

        losses = liger_fused_linear_cross_entropy(
            found.states,
            found.head.weight,
            found.targets,
            bias=found.head.bias,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        return TokenLosses(losses, found.weights, found.documents, found.outputs)


def require_liger() -> None:
    """Raise :class:`InputError` where Liger is not installed, or too old."""
    try:
        version = metadata.version("liger-kernel")
    except metadata.PackageNotFoundError:
        raise InputError("kernel liger: liger-kernel is not installed", hint=INSTALL) from None
    if tuple(int(part) for part in version.split(".")[:3] if part.isdigit()) < OLDEST:
        raise InputError(f"kernel liger: liger-kernel {version} is too old", hint=INSTALL)


kernel = Liger()
