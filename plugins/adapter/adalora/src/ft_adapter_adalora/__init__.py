"""AdaLoRA (Zhang et al., 2023, arXiv:2303.10512)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from ft.api import Field, Run, hookimpl
from ft_adapter_peft import LayerOptions, PeftAdapter

if TYPE_CHECKING:
    from torch import Tensor, nn


class AdaLora(PeftAdapter):
    """AdaLoRA: W + (alpha / rank) P diag(l) Q, where the least important entries of l become zero.

    All layers start with ``start_rank`` and share a budget, which falls to an average of
    ``rank`` while the run goes on. The importance of an entry is measured by gradients. A term
    beside the loss keeps P and Q near to orthogonal.
    """

    method = "ADALORA"
    paper = "arXiv:2303.10512"
    needs = PeftAdapter.needs | {"whole-gradients"}  # of which it makes importances
    provides = PeftAdapter.provides - {"several-adapters"}  # one budget: PEFT trains one of these

    class Options(LayerOptions):
        rank: int = Field(8, gt=0, description="average rank of a layer at the end")
        start_rank: int | None = Field(
            None, gt=0, description="rank of each layer at the start; unset: one and a half times"
        )
        alpha: float | None = Field(None, gt=0, description="scale; unset: twice the start rank")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout before Q")
        warmup: float = Field(
            0.1, ge=0, lt=1, description="share of the steps before the budget falls"
        )
        final: float = Field(
            0.3, ge=0, lt=1, description="share of the steps at the end, with the ranks found"
        )
        every: int = Field(1, gt=0, description="steps between two divisions of the budget")
        smoothing: float = Field(
            0.85, gt=0, lt=1, description="share of the former value in a moving importance"
        )
        orthogonality: float = Field(
            0.5, ge=0, description="weight of the distance of P and Q from orthogonal matrices"
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            **LayerOptions.saved_as,
            "rank": "target_r",
            "start_rank": "init_r",
            "alpha": "lora_alpha",
            "dropout": "lora_dropout",
            "every": "deltaT",
            "orthogonality": "orth_reg_weight",
        }

        @model_validator(mode="after")
        def _budget_falls(self) -> Self:
            if self.start_rank is not None and self.start_rank < self.rank:
                raise ValueError("start_rank is below rank: ranks only fall")
            if self.warmup + self.final >= 1:
                raise ValueError("warmup and final leave no step in which the ranks could fall")
            return self

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        options = self.options
        start = options.start_rank or -(-3 * options.rank // 2)
        return super().settings(run, model) | {
            "init_r": start,
            "lora_alpha": options.alpha or 2 * start,
            "beta1": options.smoothing,
            "beta2": options.smoothing,
            "total_step": 1,  # known once the run starts
        }

    @hookimpl
    def ft_run_started(self, run: Run) -> None:
        model: Any = run.model
        config, total = model.peft_config["default"], run.state.total_steps
        config.total_step = total
        config.tinit = int(self.options.warmup * total)
        config.tfinal = int(self.options.final * total)

    @hookimpl
    def ft_gradients_ready(self, run: Run) -> None:
        # its gradient alone: here it is that of a step, whatever the trainer and the micro batches
        import torch

        if not self.options.orthogonality:
            return
        with torch.enable_grad():
            factors = [p for name, p in run.model.named_parameters() if _is_factor(name)]
            far = torch.stack([_from_orthogonal(p) for p in factors]).mean()
            (self.options.orthogonality * far).backward()

    @hookimpl
    def ft_step_taken(self, run: Run) -> None:
        model: Any = run.model
        model.base_model.update_and_allocate(run.state.step + 1)

    @hookimpl
    def ft_plugin_state(self, run: Run) -> Mapping[str, Any]:
        model: Any = run.model
        allocator = model.base_model.rankallocator
        ranks = model.peft_config["default"].rank_pattern
        return {"ranks": ranks, **{name: getattr(allocator, name) for name in MEASURES}}

    @hookimpl
    def ft_restore_plugin_state(self, run: Run, state: Mapping[str, Any]) -> None:
        model: Any = run.model
        allocator = model.base_model.rankallocator
        model.peft_config["default"].rank_pattern = state["ranks"]
        for name in MEASURES:
            setattr(allocator, name, run.to_device(dict(state[name])))

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        config = model.peft_config["default"]
        # PEFT would cut out entries that are zero, and sums over fewer numbers round otherwise
        ranks, config.rank_pattern = config.rank_pattern, None
        try:
            return super().ft_save_model(run=run, model=model, folder=folder)
        finally:
            config.rank_pattern = ranks

    @hookimpl
    def ft_add_adapter(self, run: Run, model: Any, name: str, folder: Path | None) -> None:
        return None


MEASURES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What the allocation remembers: the importance of each entry, and moving means of it."""


def _is_factor(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _from_orthogonal(factor: Tensor) -> Tensor:
    """||P^T P - 1|| of P (out, rank), or of Q (rank, in) the same of its rows."""
    import torch

    small = factor if factor.shape[0] < factor.shape[1] else factor.T
    return (small @ small.T - torch.eye(len(small), device=small.device)).norm()


adapter = AdaLora()
