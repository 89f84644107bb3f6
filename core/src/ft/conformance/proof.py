"""Outcomes from another machine, for checks that this one cannot run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ft.conformance.check import KIT
from ft.conformance.outcome import Outcome
from ft.conformance.report import PluginReport, digest_of
from ft.errors import InputError


def read_proof(file: Path) -> Mapping[str, Any]:
    """The plugins of a report that ``ft plugins test --json`` wrote, by id.

    Raises :class:`ft.errors.InputError` where the file is no such report, or another kit's.
    """
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        found = {
            plugin["plugin"]: {**plugin, "on": report["platform"]} for plugin in report["plugins"]
        }
        kit = report["kit"]["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot be read as a report of the kit: {type(error).__name__}: {error}",
            where=str(file),
            hint="ft plugins test --json FILE writes one",
        ) from error
    if kit != KIT:
        raise InputError(
            f"is a report of kit {kit}, and this is kit {KIT}",
            where=str(file),
            hint="run the kit of this version on that machine again",
        )
    return found


def with_proof(report: PluginReport, proved: Mapping[str, Any]) -> PluginReport:
    """The report with what could not be run here and passed elsewhere, on the same files."""
    there = proved.get(report.record.id)
    if there is None or not there["files"] or there["files"] != digest_of(report.record):
        return report
    passed = {c["check"]: c for c in there["checks"] if c["status"] == "passed"}
    outcomes = [_proved(outcome, passed, there["on"]) for outcome in report.outcomes]
    return replace(report, outcomes=outcomes)


def _proved(outcome: Outcome, passed: Mapping[str, Any], where: str) -> Outcome:
    if outcome.status != "not-run" or outcome.check not in passed:
        return outcome
    found = passed[outcome.check]
    message = f"passed on another machine ({where})"
    return Outcome(outcome.check, "passed", message, found["seconds"], found["measures"])
