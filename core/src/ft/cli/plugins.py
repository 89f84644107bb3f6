"""``ft plugins``: what is installed, what it is for, and whether it works."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, get_args

import click

from ft.cli.conformance import checks, test
from ft.cli.new import new
from ft.cli.output import WIDE, column_widths, paragraph, print_json, table, width
from ft.cli.publish import publish
from ft.cli.registry import add, remove, search, suggest
from ft.errors import InputError, PluginError
from ft.plugins import safe
from ft.plugins.index import Index, check_kind
from ft.plugins.levels import Level, levels_of
from ft.plugins.policy import installed_index
from ft.plugins.record import Record, State

if TYPE_CHECKING:
    from ft.plugins.doctor import Finding

STATES = get_args(State)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def plugins() -> None:
    """Find, install, list and try out plugins."""
    if safe.is_on():
        click.echo(f"{safe.VARIABLE} is set: no plugin is loaded.", err=True)


@plugins.command("list")
@click.option("--kind", metavar="KIND", help="Only plugins of this kind, such as adapter.")
@click.option("--state", type=click.Choice(STATES), help="Only plugins in this state.")
@as_json
def list_(kind: str | None, state: str | None, as_json: bool) -> None:
    """List the installed plugins. Imports none of them."""
    index = installed_index()
    if kind:
        check_kind(kind)
    records = [
        r for r in index.records if r.kind == (kind or r.kind) and r.state == (state or r.state)
    ]
    _print(index, records, as_json)
    if not records and not as_json:
        what = " ".join(word for word in (state, kind, "plugin") if word)
        click.echo(f"No {what} is installed.")


@plugins.command()
@click.argument("plugin", metavar="KIND:NAME")
@as_json
def info(plugin: str, as_json: bool) -> None:
    """Show what a plugin does, its options, and what it goes together with."""
    index = installed_index()
    records = named(index, plugin)
    details = []
    for record in records:
        description = _row(index, record, levels_of([record])) | {"proofs": _recorded(record)}
        if (record.state == "ok" or record.remembered) and not safe.is_on():
            from ft.cli.describe import describe
            from ft.plugins.load import failure_of, load

            try:
                loaded = load(record)
                description |= {"state": "ok", "reason": ""} | describe(loaded)
                if record.kind == "model":
                    description["family"] = _family(index, loaded)
            except PluginError as error:
                description |= {"state": "broken", "reason": failure_of(error)}
        details.append(description)
    if as_json:
        print_json(details[0] if len(details) == 1 else details)
        return
    for number, description in enumerate(details):
        if number:
            click.echo()
        _print_description(description)


@plugins.command()
@click.argument("names", nargs=-1, metavar="[KIND:NAME]...")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds that an import may take.")
@as_json
def doctor(names: Sequence[str], timeout: float, as_json: bool) -> int:
    """Import plugins, each in a process of its own, and say which work.

    Without a name all are tried. What fails is remembered, and "ft plugins list" shows it.
    Leaves with exit code 1 where a plugin cannot be used that no policy denies.
    """
    from ft.plugins.doctor import examine

    index = installed_index()
    records = index.records
    if names:
        records = list(dict.fromkeys(r for name in names for r in named(index, name)))
    findings = []
    for number, finding in enumerate(examine(records, timeout), 1):
        findings.append(finding)
        if sys.stderr.isatty():
            last = "\n" if number == len(records) else ""
            click.echo(f"\rtried {number} of {len(records)}{last}", err=True, nl=False)
    findings.sort(key=lambda f: (f.record.kind, f.record.name, f.record.distribution))
    if as_json:
        proved = levels_of(records)
        print_json(
            [
                {
                    **_row(index, f.record, proved),
                    "milliseconds": f.milliseconds,
                    "heavy_imports": f.heavy,
                }
                for f in findings
            ]
        )
    else:
        _print_findings(findings)
    return int(any(f.record.state not in ("ok", "denied", "shadowed") for f in findings))


def named(index: Index, text: str) -> list[Record]:
    """The records of ``kind:name`` or, where one kind only has it, of a bare name."""
    kind, colon, name = text.partition(":")
    if not colon:
        kinds = sorted({r.kind for r in index.records if r.name == text})
        if len(kinds) != 1:
            raise InputError(
                f"{text!r} is not a plugin's full name",
                hint=" or ".join(f"{kind}:{text}" for kind in kinds)
                or "write KIND:NAME, such as adapter:lora; ft plugins list shows them",
            )
        kind, name = kinds[0], text
    records = index.claims(kind, name)
    if not records:
        index.find(kind, name)  # raises, with what is near
    return records


def _row(index: Index, record: Record, proved: Mapping[str, Level]) -> dict[str, Any]:
    level = proved.get(record.id)
    return {
        "kind": record.kind,
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "state": record.state,
        "reason": record.reason,
        "level": level and level._asdict(),
        "summary": record.summary,
        "match": index.keys(record),
        "requires": list(record.requires),
        "entry_point": record.value,
        "location": record.location,
    }


def _family(index: Index, family: Any) -> dict[str, Any]:
    """More of a model family, with those of its chat formats that can be loaded."""
    from ft.cli.describe import describe_family
    from ft.plugins.load import load

    formats: dict[str, Any] = {}
    for name in family.templates:
        for record in index.claims("template", name):
            if record.state == "ok":
                with suppress(PluginError):
                    formats[name] = load(record)
    return describe_family(family, formats)


def _recorded(record: Record) -> list[dict[str, Any]]:
    """The levels that registries record of the distribution; ``here`` is whether the wheel that
    was proved has the files that are installed.
    """
    from ft.conformance.report import digest_of
    from ft.registry.read import read_registries

    files = f"sha256:{digest_of(record)}"
    try:
        listed = read_registries().published
    except InputError as error:  # it hides nothing of what is installed
        click.echo(f"recorded levels are not known: {error}", err=True)
        return []
    return [
        {**asdict(proof), "here": proof.files == files, "registry": str(entry.source)}
        for entry in listed
        if entry.distribution == record.distribution
        for proof in entry.proofs
    ]


def _print(index: Index, records: Sequence[Record], as_json: bool) -> None:
    """Print records: one table for each kind, all with the same columns."""
    proved = levels_of(records)
    if as_json:
        print_json([_row(index, record, proved) for record in records])
        return
    # which distribution it is follows from kind and name nearly always; what it does does not
    named = width() >= WIDE
    rows = {
        # a state other than ok runs on over the summary, and its reason has a line of its own
        r: [
            r.name,
            *([r.distribution] if named else []),
            r.version,
            str(proved.get(r.id, "-")),
            r.state,
            *([r.summary] if r.state == "ok" else []),
        ]
        for r in records
    }
    header = ["name", *(["distribution"] if named else []), "version", "level", "state", "summary"]
    _print_by_kind(rows, header)


def _print_findings(findings: Sequence[Finding]) -> None:
    rows = {}
    for f in findings:
        time = "" if f.milliseconds is None else f"{f.milliseconds:.0f} ms"
        row = [f.record.name, f.record.distribution, time, f.record.state]
        if f.heavy:
            row.append(f"imports {' and '.join(f.heavy)} at module level")
        rows[f.record] = row
    _print_by_kind(rows, ["name", "distribution", "import", "state"])
    states = Counter(f.record.state for f in findings)
    click.echo(", ".join(f"{count} {state}" for state, count in states.most_common()))


def _print_by_kind(rows: Mapping[Record, list[str]], header: list[str]) -> None:
    if not rows:
        return
    widths = column_widths([header, *rows.values()], width() - 2)
    click.secho(next(iter(table([header], widths))), dim=True)
    for kind, group in groupby(rows, key=lambda record: record.kind):
        click.secho(kind, bold=True)
        for record in group:
            line = next(table([rows[record]], widths))
            click.echo(line) if record.state == "ok" else click.secho(line, fg="yellow")
            if record.reason:
                click.echo(paragraph(record.reason, indent=6))


def _print_description(data: Mapping[str, Any]) -> None:
    """One plugin on the screen; the same data as ``--json`` prints."""
    click.secho(f"{data['kind']}:{data['name']}", bold=True, nl=False)
    click.echo(f"  {data['distribution']} {data['version']}  {data['state']}")
    if data["summary"]:
        click.echo(paragraph(data["summary"], indent=2))
    if data["reason"]:
        click.echo(paragraph(data["reason"], indent=2))
    click.echo(f"  {_level_text(data)}")
    for proof in data["proofs"]:
        files = "these files" if proof["here"] else "files other than these"
        said = f"L{proof['level']} by kit {proof['kit']} for {proof['version']}, {files}"
        click.echo(paragraph(f"recorded: {said} ({proof['registry']})", indent=2))
    if data.get("about"):
        click.echo("\n" + "\n\n".join(_prose(part) for part in data["about"].split("\n\n")))
    if data.get("paper"):
        click.echo(f"\n  paper: {data['paper']}")
    _print_section(
        "checkpoints",
        [
            [c["id"], c["parameters"] or "", "base" if c["base"] else ""]
            for c in data.get("checkpoints", ())
        ],
    )
    if family := data.get("family"):
        _print_family(family)
    else:
        _print_options(data.get("options", ()))
    for side, words in data.get("capabilities", {}).items():
        _print_section(side, [[word, sentence] for word, sentence in words.items()])
    _print_section("limits", [[word, text] for word, text in data.get("limits", {}).items()])
    _print_section(
        "known failures",
        [[k["check"], f"{k['reason']} ({k['issue']})"] for k in data.get("known_failures", ())],
    )
    _print_section(
        "suggests", [[part, json.dumps(value)] for part, value in data.get("suggests", {}).items()]
    )
    _print_section("found by", [key.split(" ", 1) for key in data["match"]])
    if family:  # nearly the same for all families
        _print_options(data["options"])


def _print_options(options: Sequence[Mapping[str, Any]]) -> None:
    if options:
        click.secho("\noptions", bold=True)
    rows = []
    for option in options:
        default = " (required)"
        if not option["required"]:
            default = f", default {json.dumps(option['default'], default=str)}"
        rows.append([option["name"], option["type"] + default])
        rows.append(["", option["description"]])
    for line in table(rows, wrap=True):
        click.echo(line)


def _print_family(family: Mapping[str, Any]) -> None:
    """The chat formats of a model family, one of them with an example, and its parts."""
    from ft.pipeline.example import NEWLINE

    rows = []
    for one in family["formats"]:
        published = f"as {', '.join(one['published'])}" if one["published"] else ""
        rows.append([one["name"], "; ".join(filter(None, [published, *one["provides"]]))])
    _print_section("chat formats", rows)
    if found := family["example"]:
        click.secho(f"\nexample of {found['format']}", bold=True, nl=False)
        click.echo(f" (+ is what the model learns to write, {NEWLINE} a newline)")
        _print_lines(found["lines"])
        if found["call"]:
            click.echo("\n  a call of a tool:")
            _print_lines(found["call"])
    _print_section("parts", list(family["parts"].items()))


def _print_lines(lines: Sequence[tuple[str, bool]]) -> None:
    """Rendered text, broken at the edge of the terminal; what is trained is green there."""
    room = width() - 4
    for text, trained in lines:
        mark, color = ("+", "green") if trained else (" ", None)
        for start in range(0, len(text), room):
            # click leaves colours out where the output is no terminal
            click.secho(f"  {mark} {text[start : start + room]}", fg=color)


def _level_text(data: Mapping[str, Any]) -> str:
    """How far a plugin is proved, as far as is known here."""
    if data["level"] is None:
        return f"not proved here yet: ft plugins test {data['kind']}:{data['name']}"
    level = Level(**data["level"])
    return f"proved here: {level} by kit {level.kit} on {level.date}"


def _prose(text: str) -> str:
    """A paragraph of a docstring, wrapped; a list or an example keeps its lines."""
    plain = text.replace("``", "`")
    if re.search(r"^( |[-*] )", plain, re.MULTILINE):
        return textwrap.indent(plain, "  ")
    return paragraph(plain, indent=2)


def _print_section(title: str, rows: Sequence[Sequence[str]]) -> None:
    if rows:
        click.secho(f"\n{title}", bold=True)
        for line in table(rows, wrap=True):
            click.echo(line)


for command in (search, suggest, add, remove, new, test, checks, publish):
    plugins.add_command(command)
