"""A report of the kit as one page that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ft.conformance.check import LEVELS, checks

TEMPLATE = Path(__file__).parent / "report.html.jinja"
MARKS = {
    "passed": "✓",
    "refused": "✓",
    "skipped": "-",
    "known": "!",
    "failed": "✗",
    "fixed": "✗",
    "not-run": "?",
}


def as_html(report: Mapping[str, Any]) -> str:
    """The page of a report as :func:`ft.conformance.report.as_json` makes it."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    plugins = [
        {
            **plugin,
            "label": "no level" if plugin["level"] is None else f"L{plugin['level']}",
            "word": LEVELS.get(plugin["level"], "not listed"),
            "counts": Counter(c["status"] for c in plugin["checks"]),
            "seconds": sum(c["seconds"] for c in plugin["checks"]),
        }
        for plugin in report["plugins"]
    ]
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        plugins=plugins,
        levels=Counter(plugin["label"] for plugin in plugins),
        known=checks(),
        marks=MARKS,
    )
