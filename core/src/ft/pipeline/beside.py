"""Another model beside the one that trains: a teacher, a judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import InputError, ModelFamily, Run
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.folder import RESOLVED, RESULT
from ft.pipeline.load import load_base, load_config, load_processor
from ft.pipeline.open import open_run
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.plugins.policy import installed_index
from ft.plugins.selection import Selection
from ft.recipe.infer import infer_family, read_config
from ft.recipe.sources import Sources


def open_model(run: Run, source: str, *, same_vocabulary: bool, auto_class: str | None) -> Run:
    """A run around the model that ``source`` names, on the device of ``run``, and frozen.

    The configuration and the tokenizer come first: a model that does not fit is refused before
    its weights are fetched.
    """
    index = installed_index()
    if (Path(source) / RESOLVED).is_file():
        other = open_run(source, index, run.progress, beside=run)
        _compare(run, other, source, same_vocabulary)
        other.model = other.load_result()
        _load_modules(other)
    else:
        sources = Sources(index, Path.cwd(), run.progress)
        folder = sources.locate(source, "config", source).path
        family = _family(run, source, folder, index)
        if auto_class is not None:
            family.auto_class = auto_class
        other = Run(
            Selection([family], DEFAULTS),
            folder=run.folder,
            source=source,
            seed=run.seed,
            progress=run.progress,
        )
        other.model_folder = folder
        other.process, other.device = run.process, run.device
        load_config(other)
        load_processor(other)
        _compare(run, other, source, same_vocabulary)
        other.model_folder = sources.locate(source, "model", source).path
        other.model = load_base(other)
    other.model.eval().requires_grad_(False)
    return other


def _family(run: Run, source: str, folder: Path, index: Index) -> ModelFamily:
    """The family that loads a checkpoint; the run's own where that has its model type."""
    own = run.family
    model_type = read_config(folder, source).get("model_type")
    if model_type in own.model_types:
        permitted = {"trust_remote_code": own.options.trust_remote_code}
        return own.bind(own.name, permitted, distribution=own.distribution)
    record, _ = infer_family(index, [source], folder, source)
    family: Any = load(record).bind(record.name, distribution=record.distribution)
    return family


def _load_modules(other: Run) -> None:
    """Put what was trained beside a finished run's model into its ``modules``, as linear layers.

    A file beside the weights that holds one matrix is such a head.
    """
    import torch
    from safetensors.torch import load_file

    for file in sorted((other.folder / RESULT).glob("*.safetensors")):
        tensors = load_file(file, device=str(other.device))
        weight = tensors.get("weight")
        if tensors.keys() <= {"weight", "bias"} and weight is not None and weight.dim() == 2:
            outputs, width = weight.shape
            head = torch.nn.Linear(width, outputs, bias="bias" in tensors)
            head.load_state_dict(tensors)
            other.modules[file.stem] = head.to(other.device).requires_grad_(False)


def _compare(run: Run, other: Run, source: str, same_vocabulary: bool) -> None:
    """Raise where a token id means another text to the other model than in this run."""
    if not same_vocabulary:
        return
    own, others = (dict(one.tokenizer.get_vocab()) for one in (run, other))
    differing = sorted((id, text) for text, id in own.items() if others.get(text) != id) or sorted(
        (id, text) for text, id in others.items() if text not in own
    )
    if not differing:
        return
    id, text = differing[0]
    raise InputError(
        f"it has another vocabulary than the model that trains: {len(others):,} tokens where that "
        f"has {len(own):,}, and {text!r} (id {id}) is not the same in both",
        where=source,
        hint="choose a model of the same family, or one that was made with the same tokenizer",
    )
