"""bitsandbytes' AdamW, with bits by group and pages that come back with a checkpoint."""

from __future__ import annotations

from typing import Any

from bitsandbytes.optim import AdamW


class AdamWOfBits(AdamW):
    """A group's ``bits`` are those of its moments."""

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
