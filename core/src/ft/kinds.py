"""The kinds of plugin, and where each stands in a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its entry-point group is ``ft.<name>``, its key in a recipe is ``key``.

    A ``many`` kind is a list in the recipe. A kind without a key is never named there.
    """

    name: str
    summary: str
    key: str | None
    many: bool = False

    @property
    def group(self) -> str:
        return f"ft.{self.name}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("model", "a model family: its architecture, checkpoints and template", "model"),
        Kind("template", "a chat format: how turns become text", "template"),
        Kind("dataset", "a data format: how a row becomes an example", "data", many=True),
        Kind("adapter", "what of the model is trained", "adapter"),
        Kind("quantizer", "how the base weights are stored in fewer bits", "quantizer"),
        Kind("optimizer", "how weights follow gradients", "optimizer"),
        Kind("trainer", "the loss, and how batches become steps", "trainer"),
        Kind("kernel", "faster forms of the model's operations", "kernels", many=True),
        Kind("backend", "how processes are launched and divided", "backend"),
        Kind("engine", "how text is generated", "engine"),
        Kind("exporter", "the form in which a result leaves", None),
        Kind("evaluator", "a measure taken during and after training", "evaluators", many=True),
        Kind("reward", "a score for an answer", "rewards", many=True),
        Kind("tracker", "where metrics go", "trackers", many=True),
        Kind("source", "where weights and data come from", None),
        Kind("command", "a further ft subcommand", None),
    )
}

CALL_ORDER = (
    "tracker",
    "evaluator",
    "reward",
    "exporter",
    "engine",
    "backend",
    "trainer",
    "optimizer",
    "adapter",
    "quantizer",
    "kernel",
    "template",
    "model",
    "dataset",
    "source",
)
"""The order in which the plugins of a run are asked. Core's defaults come last."""
