"""bitsandbytes' AdamW, with bits by group and pages that come back with a checkpoint."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from bitsandbytes.optim import AdamW
from torch import nn


class AdamWOfBits(AdamW):
    """A group's ``bits`` are those of its moments.

    With ``in_backward`` a parameter steps as soon as the backward pass has its gradient, which
    is freed then; ``step()`` finds nothing left to do.
    """

    def __init__(self, groups: list[dict[str, Any]], *, in_backward: bool, **settings: Any):
        super().__init__(groups, **settings)
        if in_backward:
            for number, group in enumerate(self.param_groups):
                for place, parameter in enumerate(group["params"]):
                    parameter.register_post_accumulate_grad_hook(partial(self._take, number, place))

    @torch.no_grad()
    def _take(self, number: int, place: int, parameter: nn.Parameter) -> None:
        # the group is looked up now: load_state_dict puts new ones into place
        group = self.param_groups[number]
        if not self.state[parameter]:
            self.init_state(group, parameter, number, place)
        self.prefetch_state(parameter)
        self.update_step(group, parameter, number, place)
        parameter.grad = None

    def get_config(self, gindex: int, pindex: int, group: dict[str, Any]) -> dict[str, Any]:
        # the library's own way is a registry of the process, which would outlive the run
        return {**super().get_config(gindex, pindex, group), "optim_bits": group["bits"]}

    def load_state_dict(self, state_dict: dict[str, Any], move_to_device: bool = True) -> None:
        super().load_state_dict(state_dict, move_to_device)
        if not self.is_paged:
            return
        for parameter, state in self.state.items():
            for name in ("state1", "state2"):
                loaded = state[name]
                state[name] = self.get_state_buffer(parameter, dtype=loaded.dtype)
                state[name].copy_(loaded)
