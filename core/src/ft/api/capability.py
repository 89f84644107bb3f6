"""The capability vocabulary: the words in which plugins say what goes with what.

A plugin *provides* features to a run, *needs* features of other plugins, *accepts* features
that make demands on it, and *conflicts* with others. A feature that makes demands lists the
kinds that must accept it: a quantized base, say, must be accepted by the adapter. The
vocabulary is API: a word is added or changed as a hook is, with a changelog entry.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Capability:
    """One word of the vocabulary.

    ``sentence`` completes "the run has …". ``accepted_by`` are the kinds whose plugins must
    accept the feature when it is present. ``exclusive`` features have at most one provider.
    """

    name: str
    sentence: str
    accepted_by: tuple[str, ...] = ()
    exclusive: bool = False


VOCABULARY: dict[str, Capability] = {
    c.name: c
    for c in (
        # what a model family brings
        Capability("linear-layers", "weight matrices that an adapter can wrap"),
        Capability("decoder-layers", "a list of decoder layers of one kind"),
        Capability("chat-template", "a chat template of its own"),
        Capability("system-text", "a chat format with system text"),
        Capability("tools", "a chat format with tool calls"),
        Capability("reasoning", "a chat format with reasoning before an answer"),
        Capability("experts", "expert weights behind a router"),
        Capability("images", "images in its data", accepted_by=("model",)),
        Capability("audio", "audio clips in its data", accepted_by=("model",)),
        Capability("video", "videos in its data", accepted_by=("model",)),
        # what is done to the base model
        Capability(
            "quantized-base", "base weights in a quantized form", accepted_by=("adapter", "trainer")
        ),
        Capability("quantization-aware", "weights that are quantized while they train"),
        Capability(
            "changed-architecture", "layers that the checkpoint does not have", ("exporter",)
        ),
        Capability("virtual-tokens", "learned tokens before each sequence", ("trainer",)),
        Capability("frozen-base", "a base model whose own weights stay as they are"),
        Capability("switchable-adapter", "adapter weights that can be switched off and swapped"),
        Capability("several-adapters", "room for several adapters on one base"),
        Capability("low-rank-factors", "updates that are products of two narrow factors"),
        Capability("starts-at-base", "an update that changes nothing before the first step"),
        Capability("mergeable", "an update that can be added into the base weights"),
        # how the data is laid out
        Capability(
            "packing",
            "several documents in one sequence",
            accepted_by=("model", "trainer", "adapter", "kernel"),
        ),
        Capability("streaming", "data that is read while it is trained on", ("trainer",)),
        # how a step is taken
        Capability("optimizer", "an optimizer"),
        Capability(
            "gradient-checkpointing", "activations recomputed backward", ("kernel", "trainer")
        ),
        Capability("step-closure", "a step that evaluates the loss again when asked to"),
        Capability("whole-gradients", "the gradient of every trained weight after each step"),
        Capability("gradient-accumulation", "several backward passes in a step", ("optimizer",)),
        Capability("gradient-clipping", "a bound on the gradient norm", ("optimizer",)),
        Capability("attention-kernel", "an attention kernel of its own", exclusive=True),
        Capability("approximate-attention", "training under another attention than the model's"),
        Capability("extra-loss", "a loss that other parts may add a term to"),
        Capability("loss-kernel", "a fused loss", accepted_by=("trainer",), exclusive=True),
        Capability(
            "label-smoothing", "a part of each loss spread over the vocabulary", ("kernel",)
        ),
        Capability("generation", "text that the model writes while it trains"),
        Capability("rewards", "a reward for each answer"),
        # how processes are laid out
        Capability("data-parallel", "several processes with a copy each", ("trainer", "optimizer")),
        Capability(
            "sharded-weights",
            "weights divided over several processes",
            accepted_by=("trainer", "optimizer", "adapter", "quantizer"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one plugin, with its options, says of itself."""

    needs: frozenset[str] = field(default_factory=frozenset)
    accepts: frozenset[str] = field(default_factory=frozenset)
    provides: frozenset[str] = field(default_factory=frozenset)
    conflicts: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for side in ("needs", "accepts", "provides", "conflicts"):
            unknown = sorted(getattr(self, side) - VOCABULARY.keys())
            if unknown:
                raise ValueError(
                    f"{side} names {', '.join(unknown)}, which the capability vocabulary "
                    "(ft.api.VOCABULARY) does not have"
                )

    def also(
        self,
        *,
        needs: Collection[str] = (),
        accepts: Collection[str] = (),
        provides: Collection[str] = (),
        conflicts: Collection[str] = (),
    ) -> Capabilities:
        """The same with more words, for a plugin whose options change what it brings."""
        return Capabilities(
            needs=self.needs | set(needs),
            accepts=self.accepts | set(accepts),
            provides=self.provides | set(provides),
            conflicts=self.conflicts | set(conflicts),
        )
