"""A base that adapters of earlier runs are merged into (``model.merged``)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run
from ft.data.cache import COMPLETE, alone
from ft.pipeline.defaults import WEIGHT_FILES
from ft.pipeline.digests import digests
from ft.pipeline.folder import RESOLVED, RESULT
from ft.pipeline.lock import model_files
from ft.plugins.health import cache_dir

if TYPE_CHECKING:
    from torch import nn


def base_folder(run: Run) -> Path:
    """The checkpoint that the run starts from.

    One with merged adapters is made once and kept in the cache folder; whatever loads, divides
    or quantizes a checkpoint does it with that one.
    """
    runs = run.family.options.merged
    if not runs:
        return run.model_folder
    parts = [*_files(run), *map(result_digest, runs)]
    key = hashlib.sha256("".join(parts).encode())
    folder = cache_dir() / "merged" / key.hexdigest()[:32]
    with alone(
        folder,
        first=run.process.is_main,
        waiting=lambda: run.progress.say("another process merges the adapters of model.merged"),
    ):
        if not (folder / COMPLETE).exists():
            _write(run, runs, folder)
    return folder


def result_digest(folder: Path) -> str:
    """What a run has learned, whatever its folder is called."""
    return hashlib.sha256("".join(digests(model_files(folder / RESULT))).encode()).hexdigest()


def _write(run: Run, runs: Sequence[Path], folder: Path) -> None:
    """Merge one adapter after the other in float32, and write the sum as the base is written."""
    if getattr(run.config, "quantization_config", None) is not None:
        raise InputError(
            "model.merged: the weights of this checkpoint are quantized, and an adapter that is "
            "merged into them would be rounded away",
            hint="start from the checkpoint in full precision, with a quantizer if need be",
        )
    model, dtype = _merged(run, runs)
    model.to(dtype).save_pretrained(folder)  # type: ignore[operator]
    for file in model_files(run.model_folder):
        is_weight = any(file.match(pattern) for pattern in (*WEIGHT_FILES, "*.index.json"))
        if not is_weight and not (folder / file.name).exists():
            shutil.copy(file, folder)
    (folder / COMPLETE).write_text(json.dumps([str(one) for one in runs]), encoding="utf-8")


def _merged(run: Run, runs: Sequence[Path]) -> tuple[nn.Module, Any]:
    """The model with all adapters in float32, and the type of the base's weights."""
    import torch

    model: nn.Module | None = None
    there: set[str] = set()
    for folder in runs:
        run.progress.say(f"merging the adapter of {folder.name} into the base")
        other = _opened(run, folder)
        dtype = other.config.dtype or torch.float32
        below = _below(other)
        if model is None:
            model = other.load_base()
            there |= below
        if not below <= there:
            raise InputError(
                "model.merged: this run stands on merged adapters itself, which are not merged "
                "before it",
                where=str(folder),
                hint="name it first: what it stands on comes with it",
            )
        if (own := result_digest(folder)) in there:
            raise InputError("model.merged: this adapter is merged already", where=str(folder))
        there.add(own)
        other.base = model
        model = other.merge(other.load_result().eval())
    assert model is not None
    return model, dtype


def load_combined(
    run: Run, others: Sequence[Path], weights: Sequence[float], method: str, density: float | None
) -> nn.Module:
    """The result of a run with those of others beside it, as one adapter on their base."""
    run.model = run.load_result().eval()
    own = _below(run)
    for number, folder in enumerate(others):
        if _below(_opened(run, folder)) != own:
            raise InputError(
                "this run and the first one do not stand on the same merged adapters",
                where=str(folder),
                hint="combine adapters that were trained on one base",
            )
        run.add_adapter(f"other_{number}", folder / RESULT)
    done = run.hook.ft_combine_adapters(
        run=run, model=run.model, weights=weights, method=method, density=density
    )
    if not done:
        raise InputError(f"adapters of the kind {run.part('adapter')!r} cannot be combined")
    return run.model


def _opened(run: Run, folder: Path) -> Run:
    """A finished run on the base of ``run``, in full precision."""
    from ft.pipeline.open import open_run  # which opens what stands on merged adapters itself
    from ft.plugins.policy import installed_index

    other = open_run(
        str(folder),
        installed_index(),
        run.progress,
        leave_out=("quantizer", "kernels"),
        overrides=("model.dtype=float32",),
        beside=run,
    )
    _refuse_other_base(run, other, folder)
    return other


def _below(run: Run) -> set[str]:
    """What the runs have learned that a run stands on, with those that they stand on."""
    from ft.recipe.read import read_recipe

    found = list(run.family.options.merged)
    for folder in found:
        node = read_recipe(folder / RESOLVED).root.value["model"].value.get("merged")
        found += [folder / one for one in (node.plain() if node else [])]
    return {result_digest(folder) for folder in found}


def _refuse_other_base(run: Run, other: Run, folder: Path) -> None:
    if _files(other) != _files(run):
        raise InputError(
            f"this run was trained on {other.source}, and not on {run.source}",
            where=str(folder),
            hint="adapters belong to the base that they were trained on",
        )
    if other.family.options.new_tokens:
        raise InputError(
            "this run added tokens to the vocabulary, which the base does not have",
            where=str(folder),
            hint=f"`ft export {folder}`, and start from what it writes",
        )


def _files(run: Run) -> list[str]:
    return digests(model_files(run.model_folder))
