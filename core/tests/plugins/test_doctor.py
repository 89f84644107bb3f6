"""The doctor survives what plugins do at import."""

from __future__ import annotations

import time

from ft.plugins.doctor import examine
from ft.plugins.index import read_index

SOURCES = {
    "crash": ("import os\nos._exit(7)\n", "exit code 7"),
    "exits": ("import sys\nsys.exit(0)\n", "calls sys.exit(0)"),
    "hangs": ("import time\ntime.sleep(600)\n", "within 4 s"),
    "killed": ("import os\nos.kill(os.getpid(), 9)\n", "signal 9"),
    "unbound": (
        "from ft.api import Adapter\nclass A(Adapter):\n    needs = {'teapot'}\nplugin = A()\n",
        "teapot",
    ),
}
HEAVY = "import sys, types\nsys.modules['torch'] = types.ModuleType('torch')\n"
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
REQUIRED = """
from ft.api import Adapter, PluginOptions
class A(Adapter):
    class Options(PluginOptions):
        rank: int
plugin = A()
"""
FINE = "from ft.api import Adapter\nplugin = Adapter()\n"


def test_every_end_is_a_finding(site) -> None:
    for name, (source, _) in SOURCES.items():
        site.adapter(name, source)
    site.adapter("loud", f"print('x' * 3_000_000)\n{FINE}")
    site.adapter("heavy", f"{HEAVY}{FINE}")
    site.adapter("thread", f"{THREAD}{FINE}")
    site.adapter("required", REQUIRED)
    site.adapter("old", "raise AssertionError('imported')\n", requires=["ft-core>=2"])
    records = read_index([str(site.path)]).records
    started = time.monotonic()
    findings = {f.record.name: f for f in examine(records, timeout=4)}
    assert time.monotonic() - started < 60
    assert len(findings) == len(records)

    for name, (_, reason) in SOURCES.items():
        assert findings[name].record.state == "broken", name
        assert reason in findings[name].record.reason
    for name in ("loud", "heavy", "thread", "required"):
        assert findings[name].record.state == "ok", findings[name].record.reason
    assert findings["heavy"].heavy == ("torch",)
    assert findings["loud"].milliseconds > 0
    assert findings["old"].record.state == "incompatible"
    assert findings["old"].milliseconds is None

    # a listing knows now, without importing anything
    listed = {r.name: r.state for r in read_index([str(site.path)]).records}
    assert {name for name, state in listed.items() if state == "broken"} == SOURCES.keys()

    (site.path / "made_exits.py").write_text(FINE)
    broken = [r for r in read_index([str(site.path)]).records if r.name == "exits"]
    (finding,) = examine(broken)
    assert finding.record.state == "ok"
    assert {r.name: r.state for r in read_index([str(site.path)]).records}["exits"] == "ok"
