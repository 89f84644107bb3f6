"""Spectrum: training chosen by signal-to-noise ratio (Hartford et al., 2024, arXiv:2406.06623)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ft.api import Adapter, Field, InputError, PluginOptions, Run, hookimpl
from ft.api.layers import decoder_layers
from ft_adapter_freeze import further_parameters

if TYPE_CHECKING:
    from torch import Tensor, nn


class Spectrum(Adapter):
    """Of each kind of weight matrix those train that hold most signal over noise.

    For full fine-tuning with less memory. The matrices of the decoder layers are compared with
    those of the same name in other layers (all ``q_proj``, all ``down_proj``); everything else
    stays as it is. The ratio is measured when the run starts, which takes a decomposition of
    each matrix: seconds on an accelerator, minutes on a CPU. The result is a whole model.
    """

    paper = "arXiv:2406.06623"
    needs = frozenset({"decoder-layers"})

    class Options(PluginOptions):
        fraction: float = Field(
            0.25, gt=0, le=1, description="share of the matrices of each kind that trains"
        )
        modules: list[str] = Field(
            default_factory=list,
            description="kinds of matrices that are looked at, such as mlp or q_proj; unset: all",
        )
        also: list[str] = Field(
            default_factory=list,
            description="further parameters, by regular expression, such as lm_head or norm",
        )

    samples = ({"fraction": 0.5},)

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        chosen = further_parameters(model, self.options.also)
        for matrices in self._kinds(run, model).values():
            count = max(1, round(self.options.fraction * len(matrices)))
            done = run.progress.track("measuring signal over noise", len(matrices))
            ratios = []
            for matrix in matrices:
                # a model without values is planned with: which of equal shapes does not matter
                ratios.append(0.0 if matrix.device.type == "meta" else signal_to_noise(matrix))
                done(1)
            # of equal ones the first, so that every process chooses the same
            order = sorted(range(len(matrices)), key=lambda n: -ratios[n])
            chosen |= {id(matrices[n]) for n in order[:count]}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in chosen)
        return model

    def _kinds(self, run: Run, model: nn.Module) -> dict[str, list[nn.Parameter]]:
        """The matrices of the decoder layers by their name inside of a layer."""
        kinds: dict[str, list[nn.Parameter]] = {}
        for layer in decoder_layers(run, model)[1]:
            for name, parameter in layer.named_parameters():
                if parameter.ndim == 2 and self._is_wanted(name):
                    kind = re.sub(r"\.\d+\.", ".*.", name)  # experts are of one kind
                    kinds.setdefault(kind, []).append(parameter)
        if not kinds:
            raise InputError(
                "adapter spectrum finds no weight matrix to choose from",
                hint="check adapter.modules against the names inside a decoder layer",
            )
        return kinds

    def _is_wanted(self, name: str) -> bool:
        return not self.options.modules or any(f".{m}." in f".{name}" for m in self.options.modules)


def signal_to_noise(matrix: Tensor) -> float:
    """The sum of the singular values above the noise threshold over that of the others.

    It is divided by the largest one, so that matrices of other scale compare. The threshold is
    the largest singular value of a random matrix of the same sizes (Marchenko and Pastur, 1967),
    s (1 + sqrt(small / large)), where s is estimated from the quartiles of the singular values.
    """
    import torch

    values = torch.linalg.svdvals(matrix.detach().float())
    quarter, three = torch.quantile(values, torch.tensor([0.25, 0.75], device=values.device))
    deviation = (three - quarter) / 1.349  # of a normal distribution
    small, large = sorted(matrix.shape)
    threshold = deviation * (1 + (small / large) ** 0.5)
    above = values > threshold
    noise = values[~above].sum()
    signal = values[above].sum()
    return float(signal / noise / values[0]) if noise > 0 else float("inf")


adapter = Spectrum()
