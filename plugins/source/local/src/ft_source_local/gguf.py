"""GGUF files as checkpoint folders.

transformers reads a GGUF only to use it at once. What is trained further, and saved, is the
plain checkpoint: configuration, tokenizer, chat template, and the weights in float32, which
holds every value of the file exactly.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platformdirs import user_cache_dir

from ft.api import InputError, Progress


def cache_folder() -> Path:
    """Where what was fetched or converted is kept: ``FT_CACHE_DIR``, or the user's cache."""
    return Path(os.environ.get("FT_CACHE_DIR") or user_cache_dir("ft"))


def checkpoint_of(path: Path, progress: Progress) -> Path:
    """The checkpoint folder of a folder or file: itself, or its GGUF file converted.

    Raises :class:`ft.api.InputError` where there is no checkpoint, or more than one.
    """
    if path.is_file():
        if path.suffix != ".gguf":
            raise InputError(
                "a model is a folder or a .gguf file",
                where=str(path),
                hint="give the folder that has the config.json",
            )
        return convert(path, progress)
    if (path / "config.json").exists():
        return path
    files = sorted(path.rglob("*.gguf"))
    folders = [
        config.parent
        for config in sorted(path.rglob("config.json"))
        if any(config.parent.glob("*.safetensors"))
    ]
    if len(folders) == 1:
        return folders[0]
    if len(files) == 1 and not folders:
        return convert(files[0], progress)
    found = ", ".join(str(p.relative_to(path)) for p in folders or files)
    raise InputError(
        f"several models are here: {found}"
        if found
        else "there is no model here: neither a config.json nor a .gguf file",
        where=str(path),
        hint="give the path of the one to use" if found else "check the path",
    )


def convert(file: Path, progress: Progress) -> Path:
    """Convert a GGUF file, or find it converted; keyed by the hash of its bytes."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache_folder() / "gguf" / digest[:32]
    if target.exists():
        return target
    progress.say(f"converting {file.name} to a checkpoint folder, once")
    target.parent.mkdir(parents=True, exist_ok=True)
    # made beside its place and then moved there, so that it is there whole or not at all
    with TemporaryDirectory(dir=target.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name) / "checkpoint"
        _convert(file, folder)
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():  # otherwise another process was faster
                raise
    return target


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # three bars in a second say less than the line before
    try:
        with _read_once():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
            model: Any = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32
            )
    # transformers and gguf report a file they cannot read with errors of many types
    except Exception as error:
        raise InputError(
            f"the GGUF file cannot be read: {error}",
            where=str(file),
            hint="check that it is complete and of an architecture that transformers reads",
        ) from error
    # the weights are plain now; with these marks transformers would refuse to save them
    for owner, mark in ((model.config, "quantization_config"), (model, "hf_quantizer")):
        if hasattr(owner, mark):
            delattr(owner, mark)
    model.is_quantized = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _read_once() -> Iterator[None]:
    """Let transformers parse a GGUF file once instead of three times, and faster.

    It opens a reader for the tokenizer, for the configuration and for the weights, and makes
    the map of tensor names for each module; of a file with a large vocabulary that is most of
    the time. Within this context the ``gguf`` package remembers both.
    """
    import numpy as np

    gguf: Any = importlib.import_module("gguf")

    class Reader(gguf.GGUFReader):
        data: Any

        def _get(self, *args: Any, **kwargs: Any) -> Any:
            # slicing a memory map costs far more than slicing an array over the same memory
            self.data = self.data.view(np.ndarray)
            return super()._get(*args, **kwargs)

    originals = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader = functools.cache(Reader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = originals
