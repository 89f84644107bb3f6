"""Loading: every failure belongs to its plugin, and is remembered until it is repaired."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ft.api import Adapter
from ft.errors import PluginError
from ft.plugins.index import read_index
from ft.plugins.load import load
from ft.plugins.record import Record

FAILURES = {
    "raises": ("raise ValueError('no luck')\n", "ValueError: no luck"),
    "exits": ("import sys; sys.exit(3)\n", "calls sys.exit(3)"),
    "syntax": ("def (:\n", "syntax error"),
    "nothing": ("other = 1\n", "has no 'plugin'"),
    "imports": ("import surely_not_there\n", "No module named 'surely_not_there'"),
    "stops": ("class Stop(BaseException): pass\nraise Stop\n", "Stop"),
    "wrong_object": ("plugin = 3\n", "must be an object of class ft.api.Adapter, not int"),
    "wrong_class": ("from ft.api import Adapter as plugin\n", "not class Adapter"),
    "wrong_kind": ("from ft.api import Reward\nplugin = Reward()\n", "ft.api.Adapter, not Reward"),
    "wrong_hook": (
        "from ft.api import Adapter\nclass A(Adapter):\n    def ft_nonsense(self): pass\n",
        "no hook of ft",
    ),
}


def record_of(site, name: str) -> Record:
    return next(r for r in read_index([str(site.path)]).records if r.name == name)


def test_load_returns_the_shared_object(site) -> None:
    site.adapter("fine")
    plugin = load(record_of(site, "fine"))
    assert isinstance(plugin, Adapter)
    assert plugin is load(record_of(site, "fine"))


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_attributed(site, name: str) -> None:
    source, reason = FAILURES[name]
    site.adapter(name, source)
    with pytest.raises(PluginError) as raised:
        load(record_of(site, name))
    error = raised.value
    assert error.plugin == f"adapter:{name}"
    assert reason in error.message
    assert error.where == f"{record_of(site, name).distribution} 0.1.0"
    assert "pip install --force-reinstall" in error.hint


def test_the_failing_line_is_named(site) -> None:
    site.adapter("line7", "\n" * 6 + "1 / 0\n")
    with pytest.raises(PluginError, match=r"made_line7\.py:7"):
        load(record_of(site, "line7"))


def test_an_interrupt_is_the_users(site) -> None:
    site.adapter("interrupt", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load(record_of(site, "interrupt"))


def test_a_kind_of_another_core(site) -> None:
    site.add("acme", {"widget:x": "acme_widget:plugin"}, "plugin = 1\n")
    with pytest.raises(PluginError, match="no kind 'widget'"):
        load(record_of(site, "x"))


def test_a_failure_is_remembered(site) -> None:
    site.adapter("flaky", "import os\nos.environ['NOT_SET_BY_ANYBODY']\n")
    with pytest.raises(PluginError):
        load(record_of(site, "flaky"))
    record = record_of(site, "flaky")
    assert (record.state, record.remembered) == ("broken", True)
    assert "KeyError" in record.reason


def test_a_success_forgets(site, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "import os\nos.environ['FT_TEST_SET']\nfrom ft.api import Adapter\nplugin = Adapter()\n"
    )
    site.adapter("mended", source)
    with pytest.raises(PluginError):
        load(record_of(site, "mended"))
    monkeypatch.setenv("FT_TEST_SET", "1")
    load(record_of(site, "mended"))
    assert record_of(site, "mended").state == "ok"


def test_a_reinstall_forgets(site) -> None:
    info = site.adapter("again", "1 / 0\n")
    with pytest.raises(PluginError):
        load(record_of(site, "again"))
    assert record_of(site, "again").state == "broken"
    os.utime(info / "RECORD", (1, 1))
    assert record_of(site, "again").state == "ok"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "\x00",
        '{"x": 1}',
        '{"x": {"failures": [1]}}',
        '{"x": {"failures": {"a": 1}}}',
    ],
)
def test_a_damaged_memory_is_ignored(site, tmp_path: Path, content: str) -> None:
    site.adapter("lora")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "plugins.json").write_text(content)
    assert record_of(site, "lora").state == "ok"


def test_a_memory_that_cannot_be_written_costs_nothing(site, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder belongs")
    site.adapter("unlucky", "1 / 0\n")
    with pytest.raises(PluginError):
        load(record_of(site, "unlucky"))


def test_what_was_uninstalled_is_dropped_from_the_memory(site, tmp_path: Path) -> None:
    first = site.adapter("first", "1 / 0\n")
    site.adapter("second", "1 / 0\n")
    with pytest.raises(PluginError):
        load(record_of(site, "first"))
    for file in first.iterdir():
        file.unlink()
    first.rmdir()
    with pytest.raises(PluginError):
        load(record_of(site, "second"))
    memory = json.loads((tmp_path / "cache" / "plugins.json").read_text())
    assert [Path(location).name for location in memory] == ["ft_adapter_second-0.1.0.dist-info"]
