"""A run on a tiny random model, put together from plugin objects without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Plugin, Run
from ft.conformance.bench import (
    Rows,
    Told,
    changed,
    logits,
    random_rows,
    save,
    train,
    weights,
)
from ft.conformance.bench import assert_resumes as resumes_in_folder
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import adapt, load_config, load_processor
from ft.pipeline.run import start_process
from ft.plugins.selection import Selection

__all__ = [
    "Rows",
    "assert_resumes",
    "changed",
    "logits",
    "random_rows",
    "save",
    "tiny_run",
    "train",
    "weights",
    "write_random_model",
]


def write_random_model(folder: Path, family: ModelFamily, model_type: str) -> Path:
    """A checkpoint folder with a tiny random model of the family and no tokenizer."""
    import torch
    import transformers

    config = family.tiny_config(model_type)
    # with the usual 0.02 the logits of so small a frozen model cannot tell tokens apart
    config.initializer_range = 0.2
    torch.manual_seed(0)
    auto = getattr(transformers, family.auto_class_for(model_type))
    auto.from_config(config).save_pretrained(folder)
    return folder


class NoTokenizer:
    """Stands where a run of ready-made ids has no tokenizer; collation reads its pad id."""

    pad_token_id = 0
    eos_token_id = 0


def tiny_run(
    folder: Path,
    plugins: Sequence[Plugin],
    *,
    family: ModelFamily | None = None,
    model_type: str = "llama",
    rows: Any = None,
) -> Run:
    """A run that is ready to train: model loaded and adapted, data in place.

    ``plugins`` are bound; the model family is added. ``rows`` may be a function of the run.
    The checkpoint in ``folder / "model"`` is used where there is one, with its tokenizer if it
    has one, and written otherwise. Train it with :func:`train`.
    """
    family = family or ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))
    checkpoint = folder / "model"
    if not checkpoint.exists():
        write_random_model(checkpoint, family, model_type)
    selection = Selection([family.bind(model_type), *plugins], DEFAULTS)
    run = Run(selection, folder=folder / "run", source="tiny", progress=Told())
    run.folder.mkdir(exist_ok=True)
    run.model_folder = checkpoint
    run.tokenizer = NoTokenizer()
    start_process(run, "cpu")
    load_config(run)
    if (checkpoint / "tokenizer.json").exists():
        load_processor(run)
    run.data = rows(run) if callable(rows) else rows if rows is not None else random_rows()
    adapt(run)
    return run


def assert_resumes(make_run: Callable[[], Run], step: int) -> None:
    """A run that goes on from its checkpoint at ``step`` ends as if nothing had happened.

    The trainer saves at ``step`` and keeps that checkpoint.
    """
    resumes_in_folder(lambda folder: make_run(), step)
