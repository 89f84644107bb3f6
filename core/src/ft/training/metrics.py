"""The metrics of a step: left on the device until somebody reads them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ft.api import Run


class UpdateMetrics:
    """The metrics of one optimizer step.

    ``sums`` are numbers or scalar tensors, summed over the ``units`` of this process;
    ``grad_norm`` is a scalar tensor, the same in every process. To read a tensor is to wait
    until the device has come to it, so they are copied to the host in the background and read
    when somebody asks.
    """

    def __init__(
        self,
        run: Run,
        sums: Mapping[str, Any],
        units: float,
        *,
        grad_norm: Tensor,
        learning_rate: float,
    ):
        import torch

        self._names = list(sums)
        self._units = max(units, 1e-9)
        self._learning_rate = learning_rate
        # float64 holds a sum of any type as it is; some devices do not have it
        kind = torch.float32 if run.device.type == "mps" else torch.float64
        total = run.sum(torch.stack([_scalar(run, number, kind) for number in sums.values()]))
        self._numbers = torch.cat([total, _scalar(run, grad_norm, kind)[None]])
        self._arrived: Any = None
        if self._numbers.device.type == "cuda":
            copy = torch.empty(len(sums) + 1, dtype=kind, pin_memory=True)
            self._numbers = copy.copy_(self._numbers, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    @property
    def on_the_way(self) -> bool:
        """Whether reading them may have to wait for a device."""
        return self._arrived is not None

    @cached_property
    def read(self) -> dict[str, float]:
        """The means over all units, ``learning_rate`` and ``grad_norm``."""
        if self._arrived is not None:
            self._arrived.synchronize()
        *sums, grad_norm = self._numbers.tolist()
        means = {name: number / self._units for name, number in zip(self._names, sums, strict=True)}
        return {**means, "learning_rate": self._learning_rate, "grad_norm": grad_norm}


def _scalar(run: Run, number: Any, kind: Any) -> Tensor:
    """A number or a tensor as a scalar on the device, without waiting for it."""
    import torch

    if not torch.is_tensor(number):
        return torch.full((), float(number), dtype=kind, device=run.device)
    return number.detach().to(run.device, kind, non_blocking=True).reshape(())


class StepMetrics:
    """The metrics of a step of the data: the means over the optimizer steps that it became.

    ``reported`` is what plugins told of it; ``place`` is where the run stood then, for a step
    that is logged.
    """

    place: Mapping[str, float] | None = None

    def __init__(self, step: int, updates: list[UpdateMetrics], reported: Mapping[str, Any]):
        self.step = step
        self._updates = updates
        self._reported = reported

    @property
    def on_the_way(self) -> bool:
        """Whether reading them may have to wait for a device."""
        return any(update.on_the_way for update in self._updates)

    @cached_property
    def read(self) -> dict[str, float]:
        """All of them as numbers; waits for the device."""
        updates = [update.read for update in self._updates]
        means = {
            key: sum(one[key] for one in updates) / len(updates)
            for one in updates[:1]
            for key in one
        }
        return {**means, **{name: float(value) for name, value in self._reported.items()}}
