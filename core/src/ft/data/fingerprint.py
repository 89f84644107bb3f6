"""What the encoding of a data set depends on, so that the same is never done twice.

Rather too much than too little: where a needless change is counted, rows are encoded again;
where one were missed, a run would train on rows that its recipe does not describe.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Set
from datetime import date
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ft
from ft.api.run import Run
from ft.data.prepare import CHUNK
from ft.data.render import own_template

if TYPE_CHECKING:
    from ft.api.plugin import Plugin
    from ft.recipe.resolved import DataPart

FORMAT = 2
"""Of the stored chunks; raised with each change to it."""
HOOKS = (
    "ft_load_config",
    "ft_load_processor",
    "ft_patch_config",
    "ft_render",
    "ft_tokenize",
    "ft_encode",
)
"""A plugin that implements one of these may change what rows become."""
LIBRARIES = ("transformers", "tokenizers", "jinja2", "numpy")
WEIGHTS = frozenset({".safetensors", ".bin", ".pt", ".gguf", ".h5", ".msgpack", ".onnx"})


def fingerprint(run: Run, part: DataPart, digests: Mapping[str, str]) -> dict[str, Any]:
    """Everything that decides what the rows of a data set are encoded to, as plain values."""
    plugins = [part.dataset, *(p for p in run.parts() if any(hasattr(p, h) for h in HOOKS))]
    return {
        "format": [FORMAT, CHUNK],
        "ft": [ft.__version__, code_digest("ft")],
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "files": dict(digests),
        # paths of media count from the file's folder
        "path": str(part.path.absolute()),
        "part": [part.split, part.subset, part.rows, part.on_bad_row],
        "plugins": [_plugin(plugin) for plugin in plugins],
        "tokenizer": files_digest(run.model_folder),
        "template": _template(run),
        "variables": {name: repr(value) for name, value in run.template_variables.items()},
        "seed": run.seed,
    }


def _plugin(plugin: Plugin) -> dict[str, Any]:
    options = plugin.options.model_dump(mode="json")
    ignored: Set[str] = getattr(plugin, "training_options", frozenset())
    return {
        "plugin": f"{plugin.kind}:{plugin.name}",
        "distribution": plugin.distribution,
        "code": code_digest(type(plugin).__module__.partition(".")[0]),
        "state": _jinja(plugin),
        "options": {name: value for name, value in options.items() if name not in ignored},
    }


def _jinja(plugin: Plugin) -> str | None:
    """The text of a template plugin, which belongs to the object and not to its class."""
    text = getattr(plugin, "jinja", None)
    return _digest(text.encode()) if isinstance(text, str) else None


def _template(run: Run) -> dict[str, Any]:
    template = run.part("template")
    text = str(template.jinja if template is not None else own_template(run))
    # a template may write the day into each conversation
    day = str(date.today()) if "strftime_now" in text else None
    return {"text": _digest(text.encode()), "day": day}


@cache
def code_digest(module: str) -> str:
    """A digest of the files of an imported package: an edit counts without a new version."""
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if file is None:
        return ""
    path = Path(file)
    return files_digest(path.parent, "**/*") if path.stem == "__init__" else _digest_of(path)


def files_digest(folder: Path, pattern: str = "*") -> str:
    """A digest of the files of a folder, weights and compiled code left out."""
    files = [
        file
        for file in sorted(folder.glob(pattern))
        if file.is_file() and file.suffix not in WEIGHTS and "__pycache__" not in file.parts
    ]
    names = [f"{file.relative_to(folder).as_posix()} {_digest_of(file)}" for file in files]
    return _digest("\n".join(names).encode())


def _digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
