"""Plugins that are right on a CPU in float32 and wrong where people train."""

from broken_model import like_reference
from mutant import mutant

from ft.api import Kernel, hookimpl
from ft.conformance.reference.adapter import LowRank
from ft.conformance.reference.model import Family
from ft.conformance.reference.optimizer import Reference
from ft.conformance.reference.quantizer import Int8
from ft.conformance.reference.trainer import Supervised


def _is_elsewhere(run):
    """Whether the run is on the device that stands for an accelerator."""
    return run.device.index is not None


@mutant("model.on-accelerator", level=3)
def wrong_scale_elsewhere():
    """Logits that come out larger from another attention kernel."""

    class Elsewhere(Family):
        @hookimpl
        def ft_patch_model(self, run, model):
            if _is_elsewhere(run):
                model.lm_head.register_forward_hook(lambda module, inputs, output: output * 2)

    return like_reference(Elsewhere)


@mutant("adapter.on-accelerator", level=3)
class DeviceForgotten(LowRank):
    """Makes its tensors on the CPU wherever the model is: an error of torch there."""

    @hookimpl
    def ft_adapt_model(self, run, model):
        if _is_elsewhere(run):
            raise RuntimeError("Expected all tensors to be on the same device")
        return super().ft_adapt_model(run=run, model=model)


@mutant("quantizer.on-accelerator", level=3)
class OtherCode(Int8):
    """Rounds to another code on an accelerator."""

    @hookimpl
    def ft_prepare_model(self, run, model):
        super().ft_prepare_model(run=run, model=model)
        if _is_elsewhere(run):
            for name, buffer in model.named_buffers():
                if name.endswith("scale"):
                    buffer.mul_(3)


@mutant("optimizer.on-accelerator", level=3)
class Upwards(Reference):
    """Goes up where the fused kernel has the sign the other way round."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            group["maximize"] = _is_elsewhere(run)
        return built


@mutant("trainer.on-accelerator", level=3)
class Overflows(Supervised):
    """A loss that is no number in the narrow type."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        if self.options.precision == "bfloat16":
            loss.total = loss.total * float("nan")
        return loss


@mutant("kernel.on-accelerator", level=3)
class KernelOfAnotherKind(Kernel):
    """A kernel that is there for one precision alone."""

    @hookimpl
    def ft_patch_model(self, run, model):
        if run.part("trainer").options.precision == "bfloat16":
            raise RuntimeError("not implemented for BFloat16")
