"""Kernels that are broken in one way."""

from __future__ import annotations

from mutant import mutant
from other_kernels import FusedLoss, Windowed

from ft.api import hookimpl
from ft.conformance.reference.kernel import NAME, WrittenOut, attention


class Attention(WrittenOut):
    """The reference kernel with another function for attention."""

    @staticmethod
    def attend(module, query, key, value, mask, **kwargs):
        return attention(module, query, key, value, mask, **kwargs)

    @hookimpl
    def ft_patch_config(self, config):
        from transformers import AttentionInterface

        super().ft_patch_config(config)
        AttentionInterface.register(NAME, self.attend)


@mutant(
    "kernel.same-gradients",
    "kernel.packed-documents-stay-apart",
    "kernel.recomputed-activations",
    "kernel.works-while-generating",
)
class WrongScale(Attention):
    """Divides by the width of a head rather than by its root."""

    @staticmethod
    def attend(module, query, key, value, mask, scaling=None, **kwargs):
        return attention(module, query, key, value, mask, scaling=1 / query.shape[-1])


@mutant(
    "kernel.same-gradients", "kernel.packed-documents-stay-apart", "kernel.recomputed-activations"
)
class HalfBackward(Attention):
    """Its backward pass leaves out what flows through the keys."""

    @staticmethod
    def attend(module, query, key, value, mask, **kwargs):
        return attention(module, query, key.detach(), value, mask, **kwargs)


@mutant("kernel.packed-documents-stay-apart", "kernel.works-while-generating")
class CausalAlone(Attention):
    """Drops the mask, since attention is causal anyway."""

    @staticmethod
    def attend(module, query, key, value, mask, **kwargs):
        return attention(module, query, key, value, None, **kwargs)


@mutant("kernel.packed-documents-stay-apart")
class OneRowIsOneDocument(Attention):
    """Drops the mask of a single row, which has no padding."""

    @staticmethod
    def attend(module, query, key, value, mask, **kwargs):
        mask = None if len(query) == 1 else mask
        return attention(module, query, key, value, mask, **kwargs)


@mutant("kernel.recomputed-activations")
class SharedMask(Attention):
    """The first layer prepares the mask, the last drops it; backward they come the other way."""

    prepared = {}

    @classmethod
    def attend(cls, module, query, key, value, mask, **kwargs):
        if module.number == 0:
            cls.prepared["mask"] = mask
        mask = cls.prepared["mask"]
        if module.number == module.config.num_hidden_layers - 1:
            cls.prepared.clear()
        return attention(module, query, key, value, mask, **kwargs)


@mutant("kernel.parameters-keep-their-names")
class TrainsItsScale(WrittenOut):
    """Keeps a constant of its own as a parameter of each layer."""

    @hookimpl
    def ft_patch_model(self, model):
        import torch

        for layer in model.layers:
            layer.attention.kernel_scale = torch.nn.Parameter(torch.ones(()))


@mutant("kernel.works-while-generating")
class ForgetsTheCache(Attention):
    """Its causal mask begins at the first query, also where keys of a cache come before it."""

    @staticmethod
    def attend(module, query, key, value, mask, **kwargs):
        import torch

        causal = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        mask = causal if mask is None else mask & causal
        return attention(module, query, key, value, mask, **kwargs)


@mutant("kernel.same-gradients", "kernel.recomputed-activations")
class StatesAnother(Windowed):
    """Trains with another window than it states."""

    window = 3
    stated = 5


@mutant("kernel.same-gradients", "kernel.recomputed-activations")
class StatesNothing(Windowed):
    """Says that its attention is another function, and not which."""

    def reference_attention(self, query, key, value, mask, scaling):
        return super(Windowed, self).reference_attention(query, key, value, mask, scaling)


@mutant("kernel.works-while-generating")
class WindowedForEver(Windowed):
    """Keeps its window in evaluation."""

    always = True


@mutant(
    "kernel.token-losses",
    "kernel.smoothed-losses",
    "kernel.capped-logits",
    "kernel.tied-output-layer",
)
class WeightsTwice(FusedLoss):
    """Gives losses that are weighted already."""

    def losses(self, logits, truth, weights, smoothing):
        return super().losses(logits, truth, weights, smoothing) * weights


@mutant("kernel.token-losses")
class OwnModelAlone(FusedLoss):
    """Asks the run's own model, whichever it is given."""

    def forward(self, run, model, batch):
        return super().forward(run, run.model, batch)


@mutant("kernel.smoothed-losses")
class NoSmoothing(FusedLoss):
    """Passes over the smoothing."""

    def losses(self, logits, truth, weights, smoothing):
        return super().losses(logits, truth, weights, 0.0)


@mutant("kernel.capped-logits")
class BeforeTheCap(FusedLoss):
    """Takes what leaves the output layer for the model's logits."""

    def forward(self, run, model, batch):
        seen = []
        keep = lambda module, args, output: seen.append(output)  # noqa: E731
        hook = model.get_output_embeddings().register_forward_hook(keep)
        outputs = super().forward(run, model, batch)
        hook.remove()
        outputs.logits = seen[0]
        return outputs


@mutant("kernel.tied-output-layer")
class TiedOnce(FusedLoss):
    """Leaves out the output layer's part of the gradient where the embeddings have one."""

    def forward(self, run, model, batch):
        head = model.get_output_embeddings()
        if head.weight is not model.get_input_embeddings().weight:
            return super().forward(run, model, batch)
        seen = []
        keep = lambda module, args: seen.append(args[0])  # noqa: E731
        hook = head.register_forward_pre_hook(keep)
        outputs = super().forward(run, model, batch)
        hook.remove()
        outputs.logits = seen[0] @ head.weight.detach().T
        return outputs
