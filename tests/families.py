"""A model family's checkpoint as a run has it before data is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Progress, Run
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import load_config, load_processor
from ft.plugins.selection import Selection


def run_of(family: ModelFamily, folder: Path, *plugins: Any) -> Run:
    """A run of ``family`` and bound ``plugins``, with configuration and processor loaded."""
    run = Run(
        Selection([family.bind("family"), *plugins], DEFAULTS), folder=folder, progress=Progress()
    )
    run.model_folder = folder
    load_config(run)
    load_processor(run)
    return run
