"""Whatever a plugin does to its process, its own checks fail, and the kit goes on with the rest."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ft.conformance.process import Limits
from ft.conformance.report import PluginReport
from ft.conformance.session import LOST, prove
from ft.plugins.index import read_index

HEADERS = "License-Expression: Apache-2.0\nRequires-Python: >=3.11\n"
GOOD = "from ft.conformance.reference.command import Greet\nplugin = Greet()\n"
BROKEN = """
import os, random, sys, time
from ft.api import hookimpl
from ft.conformance.reference.command import Greet

class Broken(Greet):
    '''Greets, and does something else.'''

    @hookimpl
    def ft_command(self):
        {code}
        return super().ft_command()

plugin = Broken()
"""
IN_A_HOOK = {
    "hangs": "time.sleep(600)",
    "exits": "sys.exit(3)",
    "vanishes": "os._exit(7)",
    "raises": "raise BaseException('gone')",
    "shouts": "[print('x' * 1000) for _ in iter(int, 1)]",
    "swells": "hoard = [bytearray(b'x') * (1 << 24) for _ in iter(int, 1)]",
    "seeds": "random.seed(0)",
}
AT_IMPORT = {
    "import-hangs": "import time\ntime.sleep(600)\n",
    "import-exits": "import sys\nsys.exit(0)\n",
    "import-vanishes": "import os\nos._exit(7)\n",
    "import-raises": "class Gone(BaseException): pass\nraise Gone('away')\n",
    "import-shouts": "print('x' * 30_000_000)\n",
}
SAYS = {
    "hangs": "it did not end within 10 s",
    "exits": "the plugin calls sys.exit(3) (at made_exits.py:",
    "vanishes": "the plugin ended its process (exit code 7)",
    "raises": "BaseException: gone (at made_raises.py:",
    "shouts": "it wrote more than 1 MiB of output",
    "swells": "it took more than 0.5 GiB of memory",
    "seeds": "it seeds random: the state after two uses is the same, whatever the seed before",
    "import-hangs": "it did not end within 10 s",
    "import-exits": "calls sys.exit(0) when it is imported",
    "import-vanishes": "the plugin ended its process (exit code 7)",
    "import-raises": "fails when it is imported: Gone: away",
    "import-shouts": "it wrote more than 1 MiB of output",
}
LIMITS = Limits(seconds=10, memory=1 << 29, output=1 << 20)


@pytest.fixture
def reports(site: Any) -> Any:
    """Install plugins by their sources and prove all of them in one go, a good one after them."""

    def run(sources: Mapping[str, str], level: int) -> dict[str, PluginReport]:
        for name, source in {**sources, "zealous": GOOD}.items():
            module = f"made_{name.replace('-', '_')}"
            entries = {f"command:{name}": f"{module}:plugin"}
            summary = "A command that greets"
            site.add(f"ft-command-{name}", entries, source, headers=HEADERS, summary=summary)
        records = read_index([str(site.path), *sys.path]).records
        chosen = [record for record in records if record.location.startswith(str(site.path))]
        found = list(prove(chosen, level=level, limits=LIMITS, jobs=2))
        assert [report.record for report in found] == chosen
        return {report.record.name: report for report in found}

    return run


def failed(report: PluginReport) -> dict[str, str]:
    """The checks that hold a plugin's level down, with what is said of each."""
    return {o.check: o.message for o in report.outcomes if o.counts_against}


def test_what_a_hook_does_to_its_process(reports: Any) -> None:
    found = reports({name: BROKEN.format(code=code) for name, code in IN_A_HOOK.items()}, 2)
    good = found.pop("zealous")
    assert failed(good) == {}
    assert good.level == 2
    for name, report in found.items():
        assert report.level == 1, (name, failed(report))
        assert [m for m in failed(report).values() if SAYS[name] in m], (name, failed(report))
    assert failed(found["seeds"]).keys() == {"every.does-not-reseed"}


def test_what_a_plugin_does_as_it_is_imported(reports: Any) -> None:
    found = reports(AT_IMPORT, 1)
    good = found.pop("zealous")
    assert failed(good) == {}
    assert good.level == 1
    for name, report in found.items():
        assert report.level is None, name
        messages = failed(report)
        assert "every.imports" in messages
        assert [m for m in messages.values() if SAYS[name] in m], (name, messages)
        ends = [m for m in messages.values() if SAYS[name] in m and "process" in SAYS[name]]
        assert len(ends) <= LOST, (name, ends)


def test_metadata_is_judged_though_the_import_fails(reports: Any) -> None:
    report = reports({"import-raises": AT_IMPORT["import-raises"]}, 0)["import-raises"]
    found = {outcome.check: outcome.status for outcome in report.outcomes}
    assert found["every.summary"] == found["every.licence"] == "passed"
    assert found["every.paper"] == "failed"


def test_one_that_cannot_be_loaded_is_not_tried(reports: Any, site: Any) -> None:
    site.add(
        "ft-command-newer",
        {"command:newer": "made_newer:plugin"},
        GOOD,
        headers=HEADERS,
        requires=("ft-core>=7,<8",),
    )
    report = reports({}, 1)["newer"]
    assert report.level is None
    assert {o.status for o in report.outcomes} == {"failed"}
    assert all("needs ft-core>=7,<8" in o.message for o in report.outcomes)


def test_what_is_not_as_it_was_locked_fails_for_that_reason(site) -> None:
    site.adapter("sealed")
    (record,) = read_index([str(site.path)]).records
    sealed = replace(record, seal="sha256:0", sealed_by="pylock.toml:4")
    (report,) = prove([sealed], level=0)
    said = "it cannot be loaded: denied: the RECORD of ft-adapter-sealed is not the one that was"
    assert {outcome.message[: len(said)] for outcome in report.failures} == {said}
