"""Adam-mini (Zhang et al., 2024, arXiv:2406.16793)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Field, Optimizer, OptimizerOptions, Run, hookimpl

if TYPE_CHECKING:
    import torch

QUERY_AND_KEY = ("q_proj", "k_proj", "query", "key", "wq", "wk")


class AdamMini(Optimizer):
    """AdamW with one learning rate for each block of a weight rather than for each number.

    For half of AdamW's memory at the same quality. A block is a head of a query or key matrix, a
    row (an output neuron, a token of the vocabulary) of any other matrix, and the whole of a
    vector: within one, the Hessian is dense, and a single second moment does.
    """

    paper = "arXiv:2406.16793"

    class Options(OptimizerOptions):
        betas: tuple[float, float] = Field((0.9, 0.999), description="decay of the two moments")
        epsilon: float = Field(1e-8, gt=0, description="added to the denominator")
        query_and_key: tuple[str, ...] = Field(
            QUERY_AND_KEY, description="modules whose matrices have a block for each head"
        )

    def bytes_per_parameter(self) -> float:
        return 4.0 + 4 / 1024  # the mean in float32, and a square for each row

    @hookimpl
    def ft_build_optimizer(self, run: Run) -> torch.optim.Optimizer:
        from ft_optimizer_adam_mini.update import BlockwiseAdam

        head = head_size(getattr(run.model, "config", None)) or 1
        names = {id(parameter): name for name, parameter in run.trainable()}
        groups: list[dict] = []
        for group in self.parameter_groups(run):
            by_rows: dict[int, list] = {}
            for parameter in group["params"]:
                name = names[id(parameter)].split(".")
                # the factors of a low-rank update have no heads: theirs are rows
                per_head = name[-1] == "weight" and name[-2] in self.options.query_and_key
                rows = head if per_head and len(parameter) % head == 0 else 1
                by_rows.setdefault(rows, []).append(parameter)
            groups += [
                {**group, "params": params, "rows": rows} for rows, params in by_rows.items()
            ]
        return BlockwiseAdam(
            groups,
            lr=self.options.learning_rate,
            betas=self.options.betas,
            epsilon=self.options.epsilon,
        )


def head_size(config: Any) -> int | None:
    """Rows of a query matrix for each head; ``None`` where the configuration has no heads."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    if size := getattr(text, "head_dim", None):
        return size
    heads, width = (getattr(text, key, None) for key in ("num_attention_heads", "hidden_size"))
    return width // heads if heads and width else None


optimizer = AdamMini()
