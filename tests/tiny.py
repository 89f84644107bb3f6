"""Tiny checkpoints of installed families by name, as the conformance kit writes them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Template
from ft.conformance import tiny


def write_tiny(folder: Path, family: str, model_type: str) -> Path:
    """Write a checkpoint that loads as a published one does, and return its folder.

    Its chat template is the family's own, of several the last. The same arguments give the
    same files.
    """
    module = importlib.import_module(f"ft_model_{family.replace('-', '_')}")
    return tiny.write_tiny(folder, module.family, model_type, _template(module.family, module))


def _template(family: ModelFamily, module: Any) -> Template | None:
    if not family.templates:
        return None
    if hasattr(module, "template"):
        return module.template
    return importlib.import_module(f"ft_template_{family.templates[-1].replace('-', '_')}").template
