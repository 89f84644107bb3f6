"""Whole small runs: a tiny random model, supervised rows, real optimizers and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import tiny_run

from ft.api import Run
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_optimizer_adafactor import optimizer as adafactor
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer

PARTS = {
    "adamw": (adamw, {"learning_rate": 3e-3}, full, {}),
    "adafactor": (adafactor, {}, full, {}),
    "lora": (adamw, {"learning_rate": 3e-3}, lora, {"dropout": 0.1}),
}


def make_run(
    folder: Path, parts: str = "adamw", *more: Any, rows: Any = None, **options: Any
) -> Run:
    """A run that saves nothing but its last step unless told to."""
    optimizer, optimizer_options, adapter, adapter_options = PARTS[parts]
    options = {"batch_size": 4, "epochs": 2, "precision": "float32"} | options
    return tiny_run(
        folder,
        [
            trainer.bind("sft", options),
            optimizer.bind("optimizer", optimizer_options),
            adapter.bind("adapter", adapter_options),
            *more,
        ],
        rows=rows,
    )


@pytest.fixture
def make(tmp_path):
    def made(*arguments: Any, **options: Any) -> Run:
        return make_run(tmp_path, *arguments, **options)

    return made
