"""Writes models.md with a page for each family, methods.md and templates.md: what the
distributions of ``plugins/`` bring, from their own words.

``python docs/compute.py`` after a plugin was added or changed, in an environment that has them
installed; a test compares. Levels are those that the project's registry records, families that
no plugin is for come from unreached.toml, and LLaMA-Factory's part of templates.md is what
``tests/benchmarks/bench_templates.py`` found.
"""

from __future__ import annotations

import datetime
import inspect
import json
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Plugin, Template
from ft.cli.describe import describe, describe_family
from ft.conformance.check import LEVELS, NotRun
from ft.conformance.equality import equality, format_of
from ft.pipeline.example import NEWLINE
from ft.plugins.load import import_plugin
from ft.plugins.policy import installed_index
from ft.plugins.record import Record

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = ROOT / "registry" / "src" / "ft_registry" / "first-party.json"
PEER = ROOT / "tests" / "benchmarks" / "llamafactory-templates.json"
UNREACHED = ROOT / "docs" / "unreached.toml"
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
REASONS = {
    "remote-code": "transformers does not build it: its code comes with the checkpoint",
    "converted": "The vendor's weights need code of their own; others publish a conversion",
    "head": "It embeds, ranks or scores, and does not chat",
    "objective": "It learns otherwise than by the next token",
    "part": "It is a part of another model",
    "not-public": "Neither weights nor architecture are public",
    "later": "transformers builds it, and nobody has written the plugin",
}
DATES = ("%Y-%m-%d", "%d %b %Y", "%d %B %Y", "%B %d, %Y")
"""How formats write the day, which a page must not have."""

Found = Mapping[str, Mapping[str, tuple[Record, Any]]]
"""Kind → name → plugin, with its record."""


def pages() -> dict[str, str]:
    """File name → text."""
    files = (ROOT / "plugins").glob("*/*/pyproject.toml")
    ours = {f"ft-{file.parents[1].name}-{file.parent.name}" for file in files}
    records = [r for r in installed_index().records if r.distribution in ours]
    found: dict[str, dict[str, tuple[Record, Any]]] = {}
    for record in sorted(records, key=lambda one: one.name):
        found.setdefault(record.kind, {})[record.name] = (record, import_plugin(record))
    formats = {name: plugin for name, (_, plugin) in found["template"].items()}
    reached = levels()
    return {
        "models.md": models(found["model"], formats, reached),
        "methods.md": methods(found),
        "templates.md": templates(formats, [family for _, family in found["model"].values()]),
        **{
            f"models/{name}.md": page(record, family, formats, reached)
            for name, (record, family) in found["model"].items()
        },
    }


def levels() -> dict[str, int]:
    """Distribution → the level that the registry records of its newest version."""
    listed = json.loads(REGISTRY.read_text(encoding="utf-8"))
    return {one["distribution"]: one["proofs"][-1]["level"] for one in listed if one.get("proofs")}


# -- families ----------------------------------------------------------------------------------


def models(
    found: Mapping[str, tuple[Record, ModelFamily]],
    formats: Mapping[str, Template],
    reached: Mapping[str, int],
) -> str:
    """The table of families, and those that are not reached."""
    rows = [row(record, family, formats, reached) for record, family in found.values()]
    compared = sum(bool(template.published) for template in formats.values())
    head = ("plugin", "family", "vendor", "model types", "chat formats", "checkpoints", "can")
    return "\n".join(
        [
            "# Model families",
            "",
            f"{MADE} {len(rows)} families and {len(formats)} chat formats, of which {compared} "
            "are held to a [published template](templates.md), text by text. Each family has a "
            "page, which `ft plugins info` prints as well.",
            "",
            "*can*: `tools` and `reasoning` of the chat format, `images`, `audio` and `video` in "
            "the data, `packing` of several documents into one sequence, `experts` behind a "
            "router. What follows a checkpoint's own template alone has no format here. *level*: "
            "how far the [conformance kit](conformance.md#levels) has proved it.",
            "",
            *table((*head, "level"), rows),
            "",
            "## Not reached",
            "",
            *unreached(found),
            "",
        ]
    )


def row(
    record: Record,
    family: ModelFamily,
    formats: Mapping[str, Template],
    reached: Mapping[str, int],
) -> tuple[str, ...]:
    """The line of one family."""
    level = reached.get(record.distribution)
    return (
        f"[`{record.name}`](models/{record.name}.md)",
        family.title,
        family.vendor,
        ", ".join(family.model_types) or "any",
        ", ".join(family.templates),
        str(len(family.checkpoints)),
        ", ".join(abilities(record.name, family, formats)),
        "" if level is None else f"L{level}",
    )


def abilities(name: str, family: ModelFamily, formats: Mapping[str, Template]) -> list[str]:
    """What data and methods a family takes that not all do."""
    own = [formats[one] for one in family.templates if one in formats]
    words = [w for w in ("tools", "reasoning") if any(w in one.provides for one in own)]
    accepted = family.bind(name).capabilities().accepts
    words += [w for w in (*MEDIA, "packing") if w in accepted]
    return words + (["experts"] if family.fused_experts else [])


def unreached(found: Mapping[str, tuple[Record, ModelFamily]]) -> list[str]:
    """The families of unreached.toml of which no plugin names a checkpoint."""
    ours = {bare(one.id) for _, family in found.values() for one in family.checkpoints}
    index = installed_index()
    takes = {
        key.removeprefix("model_type "): name
        for name, (record, _) in found.items()
        for key in index.keys(record)
    }
    entries = tomllib.loads(UNREACHED.read_text(encoding="utf-8"))
    left = [e for e in entries.values() if not ours & {bare(one) for one in e["checkpoints"]}]
    lines = [
        f"{len(left)} families that LLaMA-Factory or ms-swift lists and no plugin here is for. "
        "*its architecture* names the family here that has the same model type: a recipe can name "
        "such a checkpoint, which then follows its own chat template.",
    ]
    for why, reason in REASONS.items():
        rows = [
            (
                e["title"],
                e["vendor"],
                e["listed_by"],
                ", ".join(e["model_types"]),
                ", ".join(f"`{takes[t]}`" for t in e["model_types"] if t in takes),
            )
            for e in sorted(left, key=lambda e: e["title"].lower())
            if e["why"] == why
        ]
        head = ("family", "vendor", "listed by", "model types", "its architecture")
        lines += ["", f"### {reason}", "", *table(head, rows)] if rows else []
    return lines


def bare(checkpoint: str) -> str:
    """A checkpoint's name without the organisation, which may change."""
    return checkpoint.rpartition("/")[2].lower()


def page(
    record: Record,
    family: ModelFamily,
    formats: Mapping[str, Template],
    reached: Mapping[str, int],
) -> str:
    """What ``ft plugins info`` prints of a family."""
    own = {name: formats[name] for name in family.templates if name in formats}
    data = describe(family) | describe_family(family, own)
    level = reached.get(record.distribution)
    proved = "not proved yet" if level is None else f"proved to level {level} ({LEVELS[level]})"
    lines = [f"# {family.title}", "", f"{record.summary}. `{record.distribution}`, {proved}.", ""]
    lines += [data["about"].replace("``", "`"), ""] if data["about"] else []
    facts = {
        "model types": ", ".join(f"`{one}`" for one in family.model_types) or "any",
        "can": ", ".join(abilities(record.name, family, formats)),
        "found by": ", ".join(f"`{key}`" for key in installed_index().keys(record)),
        "paper": family.paper or "",
    }
    lines += table(("", ""), ((name, text) for name, text in facts.items() if text))
    if family.checkpoints:
        rows = ((f"`{c.id}`", c.parameters or "", "base" * c.base) for c in family.checkpoints)
        lines += ["", "## Checkpoints", "", *table(("checkpoint", "parameters", ""), rows)]
    if family.templates:
        shown = (
            (
                f"`{one['name']}`",
                ", ".join(f"`{name}`" for name in one["published"]),
                ", ".join(one["provides"]),
            )
            for one in data["formats"]
        )
        lines += ["", "## Chat formats", ""]
        lines += table(("format", "the published one of", "has"), shown)
    lines += conversation(data["example"]) if data["example"] else []
    if family.groups:
        parts = ((name, f"`{prefix}`") for name, prefix in family.groups.items())
        lines += ["", "## Parts", "", *table(("part", "modules below"), parts)]
    kept_out = {**data["limits"], **{k["check"]: k["reason"] for k in data["known_failures"]}}
    if kept_out:
        lines += ["", "## Limits", "", *table(("what", "why"), kept_out.items())]
    return "\n".join([*lines, ""])


def conversation(example: Mapping[str, Any]) -> list[str]:
    """A rendered conversation; what the model learns stands out as a difference's added lines."""

    def fenced(lines: Iterable[tuple[str, bool]]) -> list[str]:
        text = "\n".join(f"{'+' if trained else ' '} {text}".rstrip() for text, trained in lines)
        for form in DATES:
            text = text.replace(datetime.date.today().strftime(form), "{{ today }}")
        return ["", "```diff", text, "```"]

    said = [
        "",
        f"A conversation in `{example['format']}`. Lines with `+` are what the model learns to "
        f"write; {NEWLINE} is a newline.",
        *fenced(example["lines"]),
    ]
    return said + (["", "A call of a tool:", *fenced(example["call"])] if example["call"] else [])


# -- chat formats --------------------------------------------------------------------------------


def templates(formats: Mapping[str, Template], families: Iterable[ModelFamily]) -> str:
    """Formats beside published templates, counted anew."""
    peer = json.loads(PEER.read_text(encoding="utf-8"))
    rows, exact, total, beside = [], 0, 0, [0, 0, 0]
    for name, template in formats.items():
        for one in equality(template) if template.published else ():
            exact, total = exact + one.exact, total + one.total
            other = peer["checkpoints"].get(one.checkpoint)
            # what was counted over other conversations says nothing here
            other = other if other and other["total"] == one.total else None
            if other:
                found = (other["exact"], other["taken"], other["total"])
                beside = [a + b for a, b in zip(beside, found, strict=True)]
            counts = [f"{one.exact} of {one.total}"]
            counts += [f"{other['exact']} of {other['taken']}"] if other else [""]
            rows.append((f"`{name}`", f"`{one.checkpoint}`", *counts))
    return "\n".join(
        [
            "# Chat formats",
            "",
            f"{MADE} `python -m ft.conformance.equality` prints ft's counts.",
            "",
            f"Of the conversations that the conformance kit has for a format, "
            f"{exact:,} of {total:,} are written as the checkpoint's published template writes "
            "them, byte for byte: trained text where the last turn is an answer, else the prompt "
            "that asks for one.",
            "",
            f"Beside it LLaMA-Factory {peer['version']}, where it names a template for the "
            f"checkpoint: {beside[0]:,} of {beside[1]:,} conversations that its data formats can "
            f"say, and of {beside[2]:,} in all. How it was counted stands in "
            "[the benchmarks](../tests/benchmarks/RESULTS.md#chat-templates).",
            "",
            *table(("format", "published template of", "ft", "LLaMA-Factory"), rows),
            "",
            "## Checkpoints",
            "",
            *checkpoints(formats, families),
            "",
        ]
    )


def checkpoints(formats: Mapping[str, Template], families: Iterable[ModelFamily]) -> list[str]:
    """Of how many checkpoints a format of their family is exactly the published one."""
    chat = known = 0
    others = []
    for family in families:
        own = {name: formats[name] for name in family.templates if name in formats}
        for checkpoint in (one.id for one in family.checkpoints if own and not one.base):
            chat += 1
            with suppress(NotRun):
                found = format_of(checkpoint, own)
                known += 1
                others += [] if found else [(f"`{checkpoint}`", family.title)]
    return [
        f"{known} of {chat} chat checkpoints have a published template among the test "
        f"dependencies. {known - len(others)} of them are written exactly by a format of their "
        "family. The others follow the template that comes with them, and a run says so:",
        "",
        *table(("checkpoint", "family"), others),
    ]


# -- methods -------------------------------------------------------------------------------------


def methods(found: Found) -> str:
    """A table for each kind of method."""
    options = "`ft plugins info adapter:lora` has the options"
    lines = ["# Methods", "", f"{MADE} {options}, [matrix.md](matrix.md) what trains together."]
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


def write(folder: Path) -> None:
    """Write all pages, and remove those of families that are gone."""
    made = pages()
    (folder / "models").mkdir(exist_ok=True)
    for file in (folder / "models").glob("*.md"):
        if f"models/{file.name}" not in made:
            file.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(ROOT / "docs")
