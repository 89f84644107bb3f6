"""``ft plugins test`` and ``ft plugins checks``: how far plugins are proved."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft.cli.output import paragraph, print_json, table, width
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.conformance.check import Check
    from ft.conformance.report import PluginReport
    from ft.plugins.record import Record

SHOWN = {"failed": "red", "fixed": "red", "not-run": "yellow", "known": "yellow"}
file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("names", nargs=-1, metavar="[KIND:NAME]...")
@click.option("--dist", "distributions", multiple=True, help="All plugins of a distribution.")
@click.option("--all", "everything", is_flag=True, help="All installed plugins.")
@click.option("--changed", is_flag=True, help="Leave out what is proved of these very files.")
@click.option("--shard", metavar="N/OF", help="The N-th part of the distributions, such as 1/4.")
@click.option(
    "--level", type=click.IntRange(0, 3), default=2, show_default=True, help="Up to which level."
)
@click.option("--timeout", default=120.0, show_default=True, help="Seconds that a check may take.")
@click.option("--memory", default=4.0, show_default=True, help="GiB that a check may take.")
@click.option("--jobs", type=click.IntRange(1), help="Plugins tried side by side.")
@click.option("--json", "json_file", type=file, help="Write all that was found to this file.")
@click.option("--html", "html_file", type=file, help="Write it as a page to read.")
@click.option("--proof", type=file, help="A --json file from a machine with an accelerator.")
def test(
    names: Sequence[str],
    distributions: Sequence[str],
    everything: bool,
    changed: bool,
    shard: str | None,
    level: int,
    timeout: float,
    memory: float,
    jobs: int | None,
    json_file: Path | None,
    html_file: Path | None,
    proof: Path | None,
) -> int:
    """Prove plugins with the conformance kit; nothing is trained that takes long.

    Leaves with exit code 1 where a check fails. "ft plugins checks" says what each is for.
    """
    from ft.conformance.process import Limits
    from ft.conformance.report import about, as_json, remember
    from ft.conformance.session import prove
    from ft.plugins import safe

    records = _shard(_chosen(names, distributions, everything), shard)
    if changed:
        from ft.conformance.proofs import is_proved

        chosen, records = records, [r for r in records if not is_proved(r, level)]
        click.echo(f"{len(chosen) - len(records)} plugins are proved, {len(records)} are tried")
        if not records:
            return 0
    for record in records:
        safe.check(record)
    _print_about(about(), records)
    reports: list[PluginReport] = []
    limits = Limits(seconds=timeout, memory=int(memory * 2**30))
    for report in prove(
        records, level=level, limits=limits, jobs=jobs, heard=_bar(records, level), proof=proof
    ):
        reports.append(report)
        _print_report(report)
    remember(reports)
    if len(reports) > 1:
        _print_sum(reports)
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(reports), indent=1) + "\n", encoding="utf-8")
    if html_file is not None:
        from ft.conformance.html import as_html

        html_file.write_text(as_html(as_json(reports)), encoding="utf-8")
    return int(any(report.failures for report in reports))


@click.command()
@click.argument("id", required=False, metavar="[CHECK]")
@click.option("--kind", metavar="KIND", help="Only checks of plugins of this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def checks(id: str | None, kind: str | None, as_json: bool) -> None:
    """List the checks of the conformance kit, or explain one of them."""
    from ft.conformance.check import checks as all_checks
    from ft.conformance.check import checks_for
    from ft.plugins.index import check_kind

    if kind is not None:
        check_kind(kind)
    found = checks_for(kind) if kind else list(all_checks().values())
    if id is not None:
        if id not in all_checks():
            from difflib import get_close_matches

            close = get_close_matches(id, all_checks(), 1)
            raise InputError(
                f"the kit has no check {id!r}",
                hint=f"did you mean {close[0]}?" if close else "ft plugins checks lists them",
            )
        found = [all_checks()[id]]
    if as_json:
        print_json([_data(check) for check in found])
    elif id is not None:
        _print_check(found[0])
    else:
        rows = [[f"L{c.level}", c.id, c.title] for c in found]
        for line in table(rows):
            click.echo(line)


def _data(check: Check) -> dict[str, object]:
    return {
        "id": check.id,
        "kind": check.kind,
        "level": check.level,
        "since": check.since,
        "needs": check.needs,
        "refusal_is_checked": check.refuses is not None,
        "text": check.text,
    }


def _print_check(check: Check) -> None:
    click.secho(check.id, bold=True, nl=False)
    needs = f", needs {check.needs}" if check.needs else ""
    click.echo(f"  level {check.level}, since kit {check.since}{needs}\n")
    for part in check.text.split("\n\n"):
        click.echo(paragraph(part.replace("``", "`"), indent=2) + "\n")


def _chosen(names: Sequence[str], distributions: Sequence[str], everything: bool) -> list[Record]:
    from ft.cli.plugins import named
    from ft.plugins.policy import installed_index
    from ft.plugins.record import normalize

    index = installed_index()
    if everything:
        return list(index.records)
    found = [record for name in names for record in named(index, name)]
    for distribution in distributions:
        own = [r for r in index.records if r.distribution == normalize(distribution)]
        if not own:
            raise InputError(
                f"no plugin of a distribution {distribution} is installed",
                hint="ft plugins list shows which there are",
            )
        found += own
    if not found:
        raise InputError(
            "no plugin is named",
            hint="write KIND:NAME, such as adapter:reference, or --dist DIST, or --all",
        )
    return list(dict.fromkeys(found))


def _shard(records: list[Record], shard: str | None) -> list[Record]:
    """Those of every ``of``-th distribution; all plugins of one stay together."""
    if shard is None:
        return records
    try:
        number, of = map(int, shard.split("/"))
        if not 1 <= number <= of:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--shard {shard}: this is no part of a whole",
            hint="write 1/4 for the first of four parts",
        ) from None
    mine = sorted({record.distribution for record in records})[number - 1 :: of]
    return [record for record in records if record.distribution in mine]


def _print_about(about: dict, records: Sequence[Record]) -> None:
    """Which core, kit and plugins are tried, and where they lie; paths are not cut or wrapped."""
    core, kit = about["core"], about["kit"]
    tried = {f"{r.distribution} {r.version}": str(Path(r.location).parent) for r in records}
    lines = [
        (f"ft-core {core['version']}", core["path"]),
        (f"kit {kit['version']}", f"{kit['path']}, {kit['checks']} checks"),
    ]
    if len(tried) <= 3:
        lines += tried.items()
    else:
        lines += [
            (f"{count} distributions", place) for place, count in Counter(tried.values()).items()
        ]
    room = max(len(what) for what, _ in lines)
    for what, place in lines:
        click.secho(f"{what:{room}}  {place}", dim=True)
    click.echo()


def _bar(records: Sequence[Record], level: int):
    """What tells a terminal how far the checks are."""
    from ft.conformance.check import checks_for

    total = sum(len(checks_for(record.kind, level)) for record in records)
    done = 0

    def heard(record: Record, check: Check) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            line = f"{done} of {total}: {record.id} {check.id}"
            click.echo(f"\r\x1b[K{line[: width() - 1]}", err=True, nl=False)
            if done == total:
                click.echo("\r\x1b[K", err=True, nl=False)

    return heard


def _print_report(report: PluginReport) -> None:
    """One plugin: its level, and whatever is not simply passed."""
    from ft.conformance.check import LEVELS, checks
    from ft.conformance.report import figures, reachable

    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    level = report.level
    reached = "no level" if level is None else f"L{level} {LEVELS[level]}"
    counts = Counter(outcome.status for outcome in report.outcomes)
    told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    bad = bool(report.failures)
    click.secho(f"{report.record.id}  {reached}", bold=True, fg="red" if bad else None, nl=False)
    seconds = sum(outcome.seconds for outcome in report.outcomes)
    click.echo(f"  {told} in {seconds:.0f} s")
    for outcome in report.outcomes:
        if outcome.measures and checks()[outcome.check].level > 1:
            click.echo(paragraph(f"{outcome.check}: {figures(outcome)}", indent=4))
    against = [outcome for outcome in report.outcomes if outcome.counts_against]
    # a plugin that cannot be imported fails all of them for one reason
    for message, found in groupby(against, key=lambda outcome: outcome.message):
        first, *more = found
        name = f"{first.check} (L{checks()[first.check].level})"
        others = f" and {len(more)} more" if more else ""
        click.secho(f"  {first.status}  {name}{others}", fg=SHOWN[first.status])
        click.echo(paragraph(message, indent=6))
    if bad:
        click.echo(f"  What a check is for: ft plugins checks {report.failures[0].check}")
    if (
        level is not None
        and level < report.tried
        and not bad
        and level < reachable(report.record.kind)
    ):
        click.echo(f"  L{level + 1} is not reached; what is missing is listed above.")


def _print_sum(reports: Sequence[PluginReport]) -> None:
    levels = Counter("no level" if r.level is None else f"L{r.level}" for r in reports)
    told = ", ".join(f"{count} at {level}" for level, count in sorted(levels.items()))
    click.echo(f"\n{len(reports)} plugins: {told}")
