"""The reference backend: the one process that the user started."""

from __future__ import annotations

from typing import Any

from ft.api import Backend, Process, Run, hookimpl


class Alone(Backend):
    """Launches nothing; a sum over one process is the value itself."""

    @hookimpl
    def ft_start_process(self, run: Run) -> None:
        run.process = Process()

    @hookimpl
    def ft_sum(self, value: Any) -> Any:
        return value


backend = Alone()
