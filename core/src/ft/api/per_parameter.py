"""Optimizers that are the update of one parameter: after the backward pass, or inside of it.

It imports torch, so import it inside :func:`ft_build_optimizer` or from a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class PerParameter(torch.optim.Optimizer):
    """An optimizer whose subclass says how one parameter is updated.

    ``defaults`` are the settings of a group that does not have them itself, ``lr`` and
    ``weight_decay`` among them. With ``in_backward`` each gradient is used and freed as soon as
    the backward pass has it, so that one is there at a time; ``step()`` has nothing left to do
    then.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, in_backward: bool = False, **defaults: Any
    ):
        super().__init__(groups, {"weight_decay": 0.0, **defaults})
        self._in_backward = in_backward
        if in_backward:
            for number, group in enumerate(self.param_groups):
                for parameter in group["params"]:
                    parameter.register_post_accumulate_grad_hook(partial(self._take, number))

    def update(
        self,
        parameter: nn.Parameter,
        gradient: Tensor,
        state: MutableMapping[str, Any],
        group: MutableMapping[str, Any],
    ) -> None:
        """Change ``parameter`` in place; without gradients, after weight decay.

        ``state`` is empty the first time. Keep counts in it as plain numbers.
        """
        raise NotImplementedError

    @torch.no_grad()
    def _apply(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        if parameter.grad is not None:
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            self.update(parameter, parameter.grad, self.state[parameter], group)

    def _take(self, number: int, parameter: nn.Parameter) -> None:
        # the group is looked up now: load_state_dict puts new ones into place
        self._apply(parameter, self.param_groups[number])
        parameter.grad = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # torch gives floating-point parameters states of their type; a state knows its own
        saved, parameters = (
            [each for group in groups for each in group["params"]]
            for groups in (state_dict["param_groups"], self.param_groups)
        )
        for number, parameter in zip(saved, parameters, strict=True):
            for name, value in state_dict["state"].get(number, {}).items():
                if isinstance(value, Tensor):
                    self.state[parameter][name] = value.to(parameter.device)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self._in_backward:
            for group in self.param_groups:
                for parameter in group["params"]:
                    self._apply(parameter, group)
        return loss


def adam(
    gradient: Tensor, state: MutableMapping[str, Any], betas: tuple[float, float], epsilon: float
) -> Tensor:
    """Adam's direction for ``gradient``, after taking it into the two moments in ``state``.

    Kingma and Ba, 2015 (arXiv:1412.6980): the corrected mean over the root of the corrected
    square. The moments have the shape and the type of the gradient.
    """
    if "step" not in state:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(gradient)
        state["exp_avg_sq"] = torch.zeros_like(gradient)
    state["step"] += 1
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean.lerp_(gradient, 1 - betas[0])
    square.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    root = square.sqrt().div_((1 - betas[1] ** state["step"]) ** 0.5).add_(epsilon)
    return mean.div(root).div_(1 - betas[0] ** state["step"])
