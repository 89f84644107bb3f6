"""Export a run's result."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ft.api import InputError, PluginError, Progress
from ft.pipeline.open import choose_plugin, open_run
from ft.pipeline.save import save_processor
from ft.plugins.index import Index


def export_run(
    folder: Path,
    index: Index,
    progress: Progress,
    exporter: str | None = None,
    options: Sequence[str] = (),
    output: Path | None = None,
    device: str | None = None,
) -> Path:
    """Write the result of the run in ``folder`` with an exporter plugin.

    The base is loaded in float32, without the recipe's quantizer and kernels; the weights of a
    checkpoint that is quantized itself are dequantized. The target
    appears when it is complete, tokenizer and template included; one that exists is refused.
    """
    plugin = choose_plugin(index, "exporter", exporter, options)
    target = output or folder / plugin.name
    if target.exists():
        raise InputError(
            "this already exists", where=str(target), hint="remove it, or choose another --output"
        )
    run = open_run(
        str(folder),
        index,
        progress,
        [plugin],
        leave_out=("quantizer", "kernels"),
        overrides=("model.dtype=float32",),
        device=device,
    )
    run.full_precision = True
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    written = run.selection.call(plugin, "ft_export", run=run, folder=partial)
    if written is None:
        raise PluginError(f"exporter:{plugin.name}", "ft_export wrote nothing")
    save_processor(run, partial)
    partial.rename(target)
    return target / written.relative_to(partial)
