"""Mixture of depths (Raposo et al., 2024, arXiv:2404.02258)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Adapter, Capabilities, Field, InputError, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig

KEY = "mixture_of_depths"
"""Where the configuration of a converted model says how it is routed."""


class MixtureOfDepths(Adapter):
    """Some decoder layers are run for a share of the tokens; the others pass them by.

    A router r(x) scores each token, and x + r(x) f(x) is what such a layer makes of the tokens
    with the highest scores, which attend to one another alone; f is what the layer adds. A
    training step takes about ``capacity`` of a routed layer's time and memory. Every parameter
    trains, and it takes far more data than an adapter does: it is for further pre-training.

    Which tokens are highest depends on later ones. So the routers learn beside it to tell by the
    token alone (the sign of r), and that decides in evaluation and generation; the metric
    ``routing_agreement`` is how often both say the same. Generation keeps the usual cache and
    computes routed layers whole, so that it is right and not faster.

    A checkpoint without routers is converted, one that this adapter saved is gone on with. The
    result is a whole model that ft alone reads: it cannot be merged or exported. Documents are
    not packed, since those of a sequence would compete; layers with windows or states are refused.

    Beyond the paper, a router sees x divided by its root mean square, as the residual stream of
    a trained model has outliers, and starts near 1, where a layer adds what it added before.
    """

    paper = "arXiv:2404.02258"
    needs = frozenset({"decoder-layers"})
    accepts = frozenset[str]()
    provides = frozenset({"changed-architecture"})
    conflicts = frozenset({"attention-kernel"})

    class Options(PluginOptions):
        capacity: float = Field(
            0.5, gt=0, le=1, description="share of the tokens that a routed layer takes"
        )
        every: int = Field(2, gt=0, description="one layer of so many is routed, the last of each")
        router_loss: float = Field(
            0.1, ge=0, description="weight of the loss by which routers learn to tell by the token"
        )

    has_learned = False

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        # without it routers never learn to choose in generation
        return said.also(needs={"extra-loss"}) if self.options.router_loss else said

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        text = config.get_text_config()
        usual = "sliding_attention" if getattr(text, "sliding_window", None) else "full_attention"
        odd = set(getattr(text, "layer_types", None) or [usual]) - {"full_attention"}
        if odd:
            raise InputError(
                f"mixture of depths needs layers that attend in full, and this model has "
                f"{', '.join(sorted(odd))}",
                hint="use adapter: full",
            )
        if config._attn_implementation not in (None, "sdpa", "eager"):
            raise InputError(
                f"mixture of depths cannot be trained with {config._attn_implementation}, which "
                "has no mask that says which tokens attend to which",
                hint="leave model.attention out",
            )

    @hookimpl
    def ft_load_model(self, run: Run, folder: Path, config: PretrainedConfig) -> nn.Module | None:
        if not hasattr(config, KEY) or run.random_weights:
            return None
        from ft_adapter_mixture_of_depths.saved import load

        return load(run, folder, config)

    @hookimpl
    def ft_adapt_model(self, run: Run, model: Any) -> nn.Module:
        from ft_adapter_mixture_of_depths.layer import route, routed_layers

        own = {"capacity": self.options.capacity, "every": self.options.every}
        saved = getattr(model.config, KEY, own)
        for option in self.options.model_fields_set & own.keys():
            if own[option] != saved[option]:
                raise InputError(
                    f"adapter.{option} is {own[option]} here and {saved[option]} in the converted "
                    "model to go on from",
                    hint="leave it out of the recipe: what was saved then holds",
                )
        if not routed_layers(model):
            route(run, model, saved)
            setattr(model.config, KEY, saved)
        return model.requires_grad_(True)

    @hookimpl
    def ft_extra_loss(self, run: Run) -> Tensor | None:
        """Binary cross-entropy of "is it chosen?" given r, a mean over tokens and layers."""
        from torch.nn import functional

        from ft_adapter_mixture_of_depths.layer import routed_layers

        losses = []
        for layer in routed_layers(run.model):
            if layer.seen is None:
                continue
            scores, taken, real = layer.seen
            scores, taken, layer.seen = scores[real], taken[real], None
            if not scores.requires_grad:
                raise InputError(
                    "the scores of the routers have no gradient: layers recompute in the older way",
                    hint="leave kernel offload out",
                )
            losses.append(functional.binary_cross_entropy_with_logits(scores, taken.float()))
            run.report("routing_agreement", ((scores > 0) == taken).float().mean())
        if not losses:
            return None
        self.has_learned = True
        return self.options.router_loss * sum(losses) / len(losses)

    @hookimpl
    def ft_step_taken(self, run: Run) -> None:
        if self.options.router_loss and not self.has_learned:
            raise InputError(
                f"trainer {run.part('trainer').name} adds no loss of other parts to its own, so "
                "that the routers would not learn to choose in generation",
                hint="use trainer: sft or pretrain, or set adapter.router_loss: 0",
            )

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        from ft_adapter_mixture_of_depths.saved import save

        if run.process.is_main:
            save(model, folder)
        return True

    @hookimpl
    def ft_merge_model(self) -> nn.Module:
        raise InputError(
            "a model with routed layers has no form that other programs read",
            hint="`ft chat` and further runs use the run's result as it is",
        )


adapter = MixtureOfDepths()
