"""Quantizers that are broken in one way."""

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.quantizer import Int8


def like(linear, forward):
    """An 8-bit layer with another forward pass: ``forward(layer, x, weight)``."""
    from ft.conformance.reference.int8 import Int8Linear

    class Changed(Int8Linear):
        def forward(self, x):
            return forward(self, x, self.weight.to(x.dtype) * self.scale.to(x.dtype))

    return Changed(linear)


# -- what it saves and what it costs -----------------------------------------------------------


@mutant("quantizer.memory-falls")
class RoundedInFloat(Int8):
    """Rounds the weights and keeps them in float32."""

    def quantized(self, linear):
        import torch

        layer = super().quantized(linear)
        plain = torch.nn.Linear(layer.in_features, layer.out_features, bias=False)
        plain.weight = torch.nn.Parameter(
            (layer.weight * layer.scale).to(linear.weight.dtype), requires_grad=False
        )
        return plain


@mutant("quantizer.memory-falls")
class ScalesUncounted(Int8):
    """Keeps a scale for each weight beside it, and counts the weights alone."""

    def bits_per_weight(self):
        return 8.0

    def quantized(self, linear):
        layer = super().quantized(linear)
        layer.scale = layer.scale.repeat(1, layer.in_features)
        return layer


@mutant("quantizer.memory-falls")
class NothingFound(Int8):
    """Looks for layers by a name that this model does not have, and quantizes none."""

    @hookimpl
    def ft_prepare_model(self, model):
        model.requires_grad_(False)


@mutant("quantizer.drifts-within-its-bound")
class BoundOfAnother(Int8):
    """States the bound of a quantizer with more bits."""

    drift = 0.01


@mutant("quantizer.drifts-within-its-bound", "quantizer.works-in-half-precision")
class ScaleOfTheNextRow(Int8):
    """Multiplies each row with the scale of the next."""

    def quantized(self, linear):
        layer = super().quantized(linear)
        layer.scale = layer.scale.roll(1, 0)
        return layer


@mutant("quantizer.keeps-the-head", "quantizer.memory-falls")
class HeadToo(Int8):
    """Rounds the output layer to a finer grid, so that it hardly moves."""

    @hookimpl
    def ft_prepare_model(self, run, model):
        super().ft_prepare_model(run=run, model=model)
        head = model.get_output_embeddings()
        head.weight.data = (head.weight.float() * 4096).round().div(4096).to(head.weight.dtype)


@mutant("quantizer.keeps-the-head")
class HeadInIntegers(Int8):
    """Quantizes every linear layer, the output layer among them."""

    drift = 0.1

    @hookimpl
    def ft_prepare_model(self, run, model):
        super().ft_prepare_model(run=run, model=model)
        model.set_output_embeddings(self.quantized(model.get_output_embeddings()))


@mutant("quantizer.quantizes-alike", "quantizer.survives-saving")
class RoundedAtRandom(Int8):
    """Rounds up or down at random."""

    drift = 0.2

    def quantized(self, linear):
        import torch

        layer = super().quantized(linear)
        exact = linear.weight.detach().float() / layer.scale
        layer.weight.data = (exact + torch.rand_like(exact)).floor().clamp(-127, 127).char()
        return layer


@mutant("quantizer.leaves-the-checkpoint")
class KeptBeside(Int8):
    """Keeps the quantized weights beside the checkpoint, for the next time."""

    @hookimpl
    def ft_prepare_model(self, run, model):
        from safetensors.torch import save_model

        super().ft_prepare_model(run=run, model=model)
        if not (run.model_folder / "quantized.safetensors").exists():
            save_model(model, str(run.model_folder / "quantized.safetensors"))


# -- training on top ---------------------------------------------------------------------------


@mutant("quantizer.freezes-the-base")
class NormsTrain(Int8):
    """Freezes the layers that it quantizes, and no others."""

    @hookimpl
    def ft_prepare_model(self, run, model):
        super().ft_prepare_model(run=run, model=model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("norm" in name)


@mutant(
    "quantizer.freezes-the-base", "quantizer.survives-saving", "quantizer.recomputes-activations"
)
class ScalesFollow(Int8):
    """Lets its scales grow a little with every forward pass of training."""

    def quantized(self, linear):
        import torch

        def forward(layer, x, weight):
            if layer.training:
                layer.scale.mul_(1.0001)
            return torch.nn.functional.linear(x, weight)

        return like(linear, forward)


@mutant("quantizer.trains-under-an-adapter")
class NoBackward(Int8):
    """Multiplies by a kernel that has no backward pass."""

    def quantized(self, linear):
        import torch

        def forward(layer, x, weight):
            with torch.no_grad():
                return torch.nn.functional.linear(x, weight)

        return like(linear, forward)


@mutant("quantizer.survives-saving")
class RemembersTheRange(Int8):
    """Clips what comes in, once trained, to the range that it saw while training."""

    def quantized(self, linear):
        import torch

        def forward(layer, x, weight):
            seen = getattr(layer, "seen", None)
            if layer.training:
                layer.seen = max(seen or 0.0, float(x.detach().abs().mean()))
            elif seen:
                x = x.clamp(-seen, seen)
            return torch.nn.functional.linear(x, weight)

        return like(linear, forward)


@mutant("quantizer.recomputes-activations")
class UnpackedOnce(Int8):
    """Unpacks all weights before a forward pass, and drops each when it was used."""

    @hookimpl
    def ft_prepare_model(self, run, model):
        super().ft_prepare_model(run=run, model=model)
        layers = [layer for layer in model.modules() if hasattr(layer, "scale")]

        def unpack(module, inputs):
            for layer in layers:
                layer.unpacked = [layer.weight * layer.scale]

        model.register_forward_pre_hook(unpack)

    def quantized(self, linear):
        import torch

        def forward(layer, x, weight):
            weight = layer.unpacked.pop() if layer.unpacked else None
            return torch.nn.functional.linear(x, weight.to(x.dtype))

        return like(linear, forward)


@mutant("quantizer.works-in-half-precision")
class FloatProduct(Int8):
    """Multiplies what comes in with a weight in float32, whatever comes in."""

    def quantized(self, linear):
        import torch

        def forward(layer, x, weight):
            return torch.nn.functional.linear(x, layer.weight * layer.scale.float())

        return like(linear, forward)
