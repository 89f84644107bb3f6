"""The reference exporter: the merged model as a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import Exporter, Run, hookimpl


class Checkpoint(Exporter):
    """Folds the adapter in and writes what ``from_pretrained`` reads."""

    accepts = frozenset({"changed-architecture"})

    @hookimpl
    def ft_export(self, run: Run, folder: Path) -> Path:
        model: Any = run.merge(run.load_result())
        model.save_pretrained(folder)
        return folder


exporter = Checkpoint()
