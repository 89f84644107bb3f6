"""What recomputed layers keep waits in CPU memory."""

from __future__ import annotations

from ft.api import Estimate, Kernel, Run, hookimpl


class Offload(Kernel):
    """The inputs of recomputed layers are copied to CPU memory, and back ahead of their use.

    A layer that recomputes its activations (``trainer.gradient_checkpointing``) still keeps its
    input: 64 MB a layer for 8,192 tokens of a model 4,096 wide. The copies run beside the
    computation (the idea of vDNN, Rhu et al., 2016, arXiv:1602.08124); layers that do not
    recompute are left alone. Results are the same.
    """

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        from ft_kernel_offload.layers import offload_layers

        if not offload_layers(run.model, run.device):
            run.progress.warn(
                f"{self!r} has nothing to do: no layer recomputes its activations; set "
                "trainer.gradient_checkpointing"
            )

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        estimate.inputs_away = estimate.device.type != "cpu"


kernel = Offload()
