"""Writes models.md and methods.md: what the distributions of ``plugins/`` bring, from their own
words.

``python docs/compute.py`` after a plugin was added or changed, in an environment that has them
installed; a test compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Plugin, Template
from ft.plugins.load import import_plugin
from ft.plugins.policy import installed_index
from ft.plugins.record import Record

ROOT = Path(__file__).resolve().parents[1]
METHODS = {
    "adapter": "Adapters",
    "quantizer": "Quantizers",
    "optimizer": "Optimizers",
    "trainer": "Trainers",
    "reward": "Rewards",
    "kernel": "Kernels",
}
MEDIA = ("images", "audio", "video")
MADE = "Made by `python docs/compute.py` from the plugins themselves."


def pages() -> dict[str, str]:
    """File name → text."""
    files = (ROOT / "plugins").glob("*/*/pyproject.toml")
    ours = {f"ft-{file.parents[1].name}-{file.parent.name}" for file in files}
    records = [r for r in installed_index().records if r.distribution in ours]
    found: dict[str, dict[str, tuple[Record, Plugin]]] = {}
    for record in sorted(records, key=lambda one: one.name):
        found.setdefault(record.kind, {})[record.name] = (record, import_plugin(record))
    return {"models.md": models(found), "methods.md": methods(found)}


def models(found: Mapping[str, Mapping[str, tuple[Record, Any]]]) -> str:
    """The table of families."""
    templates = {name: plugin for name, (_, plugin) in found["template"].items()}
    rows = [row(name, plugin, templates) for name, (_, plugin) in found["model"].items()]
    compared = sum(bool(template.published) for template in templates.values())
    head = ("plugin", "family", "vendor", "model types", "chat formats", "checkpoints", "can")
    return "\n".join(
        [
            "# Model families",
            "",
            f"{MADE} {len(rows)} families and {len(templates)} chat formats, of which {compared} "
            "are held to a published template, text by text.",
            "",
            "*can*: `tools` and `reasoning` of the chat format, `images`, `audio` and `video` in "
            "the data, `packing` of several documents into one sequence, `experts` behind a "
            "router. What follows a checkpoint's own template alone has no format here.",
            "",
            *table(head, rows),
            "",
        ]
    )


def row(name: str, family: ModelFamily, templates: Mapping[str, Template]) -> tuple[str, ...]:
    """The line of one family."""
    formats = [templates[one] for one in family.templates if one in templates]
    words = [w for w in ("tools", "reasoning") if any(w in one.provides for one in formats)]
    accepted = family.bind(name).capabilities().accepts
    words += [w for w in (*MEDIA, "packing") if w in accepted]
    words += ["experts"] if family.fused_experts else []
    return (
        f"`{name}`",
        family.title,
        family.vendor,
        ", ".join(family.model_types) or "any",
        ", ".join(family.templates),
        str(len(family.checkpoints)),
        ", ".join(words),
    )


def methods(found: Mapping[str, Mapping[str, tuple[Record, Any]]]) -> str:
    """A table for each kind of method."""
    lines = ["# Methods", "", f"{MADE} `ft plugins info adapter:lora` has the options."]
    for kind, title in METHODS.items():
        plugins = found[kind]
        lines += ["", f"## {title}", ""]
        lines += table(
            ("plugin", "what it is", "paper"),
            (
                (f"`{name}`", summary(plugin), plugin.paper or "")
                for name, (_, plugin) in plugins.items()
            ),
        )
    return "\n".join([*lines, ""])


def summary(plugin: Plugin) -> str:
    """The first sentence of the class's docstring."""
    first = " ".join((inspect.getdoc(type(plugin)) or "").split("\n\n")[0].split())
    return first.replace("``", "`").replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    head = tuple(head)
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
