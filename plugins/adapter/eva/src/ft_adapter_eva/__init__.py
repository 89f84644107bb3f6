"""EVA (Paischer et al., 2024, arXiv:2410.07170)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Run, hookimpl
from ft_adapter_lora import Lora, look_at_inputs
from ft_adapter_peft import named

if TYPE_CHECKING:
    from torch import Tensor, nn


class Eva(Lora):
    """EVA: LoRA whose A starts as the main directions of each layer's inputs on the run's data.

    Those are the first right singular vectors of the inputs. The rank goes where it explains
    most of them: some layers get less, some more, all together ``rank`` times their number.
    B starts at zero, so that the model starts unchanged.
    """

    paper = "arXiv:2410.07170"

    class Options(Lora.Options):
        sequences: int = Field(128, gt=0, description="sequences of the data to look at")
        largest: float = Field(
            2.0, ge=1, description="how many times the rank a layer may get; 1: all have the same"
        )

    directions: Mapping[str, Tensor] = {}
    """The rows that A starts with (rank, in), by the name of the layer."""

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        if self.options.rank_pattern or self.options.alpha_pattern:
            raise InputError("adapter.rank_pattern, alpha_pattern: eva finds the ranks itself")
        found, rank = super().settings(run, model), self.options.rank
        ranks = {name: len(rows) for name, rows in self.directions.items()}
        power = 0.5 if self.options.rslora else 1.0  # the factor of B A is the same everywhere
        alphas = {name: found["lora_alpha"] * (one / rank) ** power for name, one in ranks.items()}
        return found | {"rank_pattern": ranks, "alpha_pattern": alphas}

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        import torch

        # a model without values is planned with: the ranks are those of a plain LoRA
        if self.options.continue_from is not None or model.device.type == "meta":
            return super().ft_adapt_model(run=run, model=model)
        self.directions = {}
        targets = sorted(named(model, self.settings(run, model)["target_modules"]))
        self.directions = self._find(run, model, targets)
        adapted: Any = super().ft_adapt_model(run=run, model=model)
        with torch.no_grad():
            for name, rows in self.directions.items():
                layer = adapted.base_model.model.get_submodule(name)
                layer.lora_A["default"].weight.copy_(rows)
        return adapted

    def _find(self, run: Run, model: nn.Module, targets: list[str]) -> dict[str, Tensor]:
        """The directions that each layer gets."""
        rank = self.options.rank
        inputs = {name: Inputs(round(rank * self.options.largest)) for name in targets}
        layers = {name: model.get_submodule(name) for name in targets}
        look_at_inputs(
            run, model, layers, self.options.sequences, lambda name, x: inputs[name].add(x)
        )
        # one is everybody's; the others go to whom they explain most
        shares = sorted(
            (-share, name) for name, one in inputs.items() for share in one.explained()[1:].tolist()
        )
        spare = (rank - 1) * len(targets)
        ranks = dict.fromkeys(targets, 1)
        for _, name in shares[:spare]:
            ranks[name] += 1
        # an expert that no token reached stays a plain LoRA
        return {
            name: one.rows[: ranks[name]] for name, one in inputs.items() if one.rows is not None
        }


@dataclass
class Inputs:
    """The first ``most`` right singular vectors of all inputs of a layer so far."""

    most: int
    rows: Tensor | None = None
    sizes: Tensor | None = None
    total: float = 0.0

    def add(self, x: Tensor) -> None:
        """Take in more inputs (tokens, in)."""
        import torch

        self.total += float(x.square().sum())
        if self.rows is not None and self.sizes is not None:
            x = torch.cat([self.sizes[:, None] * self.rows, x])
        _, sizes, rows = torch.linalg.svd(x, full_matrices=False)
        self.sizes, self.rows = sizes[: self.most], rows[: self.most]

    def explained(self) -> Tensor:
        """The share of the inputs' squares along each direction, the largest first."""
        import torch

        return torch.zeros(0) if self.sizes is None else self.sizes.square() / self.total


adapter = Eva()
