"""Kernels that are broken in one way."""

from __future__ import annotations

from mutant import mutant

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
