"""``ft.lock``: what exactly went into a run."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import ft
from ft.api import Plugin, Run
from ft.data.render import own_template
from ft.pipeline.defaults import WEIGHT_FILES
from ft.pipeline.digests import digests
from ft.recipe.resolved import Resolved

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")


def write_lock(run: Run, resolved: Resolved) -> None:
    """Write ``ft.lock`` (JSON): plugins, model, data, template, seed, hardware."""
    files = model_files(run.model_folder)
    names = [str(file.relative_to(run.model_folder)) for file in files]
    lock = {
        "ft": ft.__version__,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "plugins": [plugin_entry(plugin) for plugin in run.parts()],
        "model": {
            "source": resolved.source,
            "files": dict(zip(names, digests(files), strict=True)),
        },
        "data": run.data.report.digest,
        "eval_data": {name: rows.report.digest for name, rows in run.eval_data.items()},
        "template": template_digest(run),
        "seed": run.seed,
        "hardware": hardware(run),
    }
    (run.folder / "ft.lock").write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def plugin_entry(plugin: Plugin) -> dict[str, str]:
    """Name, distribution, version and the hash of the installed files' record."""
    entry = {"plugin": f"{plugin.kind}:{plugin.name}"}
    if plugin.distribution:
        distribution = metadata.distribution(plugin.distribution)
        record = distribution.read_text("RECORD") or ""
        entry |= {
            "distribution": plugin.distribution,
            "version": distribution.version,
            "record": hashlib.sha256(record.encode()).hexdigest(),
        }
    return entry


def model_files(folder: Path) -> list[Path]:
    """The files of a checkpoint that decide what the model is."""
    patterns = (*WEIGHT_FILES, "*.json", "*.jinja", "*.model", "*.txt")
    return sorted({file for pattern in patterns for file in folder.glob(pattern)})


def template_digest(run: Run) -> str | None:
    """SHA-256 of the chat template in force."""
    template = run.part("template")
    text = template.jinja if template is not None else own_template(run)
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None


def hardware(run: Run) -> dict[str, Any]:
    """The device that the run trained on."""
    import os

    import torch

    name = (
        torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else platform.machine()
    )
    return {
        "device": str(run.device),
        "name": name,
        "cores": os.cpu_count(),
        "processes": run.process.world_size,
    }
