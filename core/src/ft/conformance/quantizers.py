"""What the checks of quantizers share: a quantized model beside the same without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run
from ft.conformance.adapters import digest
from ft.conformance.bench import (
    tiny_run,
)
from ft.conformance.check import NotRun
from ft.conformance.subject import Subject
from ft.pipeline.load import load_config

if TYPE_CHECKING:
    from torch import Tensor

WIDE = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1}
"""A model whose weights outweigh what is kept once for each layer, such as a table of codes."""


def quantized(subject: Subject, **settings: Any) -> Run:
    """A run of the quantizer; on an accelerator where it works nowhere else."""
    import torch

    try:
        return tiny_run(subject, **settings)
    except InputError as error:
        if not torch.accelerator.is_available():
            raise NotRun(f"it does not run on a CPU, and there is nothing else: {error}") from error
    return tiny_run(subject, device="auto", **settings)


def unquantized(subject: Subject, folder: str = "base", **parts: Any) -> Run:
    """A run whose model is the quantized base, under an adapter that does nothing."""
    return quantized(subject, folder=folder, adapter=True, **parts)


def quantized_and_not(subject: Subject, **parts: Any) -> tuple[Run, Run]:
    """A run with the quantized base as its model, and one without the quantizer."""
    pair = unquantized(subject, **parts), unquantized(subject, "plain", **parts)
    plain = pair[1]
    plain.selection.leave_out(plain.part("quantizer"))
    plain.model_folder = subject.folder / "model"
    load_config(plain)
    for run in pair:
        run.model = run.load_base()
    return pair


def under_adapter(
    subject: Subject,
    *,
    folder: str = "run",
    seed: int = 42,
    steps: int = 8,
    precision: str = "float32",
    **parts: Any,
) -> Run:
    """A run of the reference adapter on the quantized base."""
    trainer = {"steps": steps, "precision": precision}
    return quantized(subject, folder=folder, adapter=True, trainer=trainer, seed=seed, **parts)


def digests_of(model: Any) -> dict[Any, Tensor]:
    """The tensors that a model holds, each once, by type, shape and content."""
    return {digest(tensor): tensor for _, tensor in held(model)}


def held(thing: Any, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a module reaches, by its path.

    Beside parameters and buffers those in its attributes: quantized layers keep scales there,
    and in objects of their own. What is neither module nor container nor plain object, a
    function or a class say, is passed by.
    """
    import torch

    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, (str, bytes, int, float, type(None), type)):
        return
    seen.add(id(thing))
    if hasattr(thing, "__tensor_flatten__"):  # a type of tensor that is made of others
        for key in thing.__tensor_flatten__()[0]:
            yield from held(getattr(thing, key), f"{name}.{key}", seen)
        return
    if isinstance(thing, torch.Tensor):
        yield name, thing
    for key, value in parts_of(thing).items():
        yield from held(value, f"{name}.{key}".lstrip("."), seen)


def parts_of(thing: Any) -> Mapping[Any, Any]:
    """What an object holds: attributes, items, parameters and buffers."""
    from torch import nn
    from transformers import PretrainedConfig

    if isinstance(thing, PretrainedConfig) or callable(getattr(thing, "__code__", None)):
        return {}
    if isinstance(thing, Mapping):
        return thing
    if isinstance(thing, (list, tuple, set)):
        return dict(enumerate(thing))
    attributes = dict(getattr(thing, "__dict__", {}))
    if isinstance(thing, nn.Module):
        # under their own names, as named_parameters() has them
        for table in ("_parameters", "_buffers", "_modules"):
            attributes |= attributes.pop(table, {})
        attributes = {key: value for key, value in attributes.items() if "hook" not in str(key)}
    return attributes


def stamps_of(folder: Path) -> dict[str, Any]:
    """Time of change and content of each file below a folder."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }
