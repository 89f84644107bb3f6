"""What the kit sees of a plugin's manners, and what it leaves alone."""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ft.conformance.guard import leftovers, watch, watch_output
from ft.conformance.state import watch_state

# -- connections -------------------------------------------------------------------------------


def test_a_connection_is_noted_and_refused(tmp_path: Path) -> None:
    with watch(tmp_path) as seen, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    assert seen.connections == ["192.0.2.1:443"]


def test_a_look_up_is_noted_though_its_failure_is_caught(tmp_path: Path) -> None:
    with watch(tmp_path) as seen:
        with suppress(OSError):
            socket.getaddrinfo("stats.example.org", 443)
        with pytest.raises(ConnectionRefusedError):
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))
    assert seen.connections == ["stats.example.org:443", "192.0.2.1:53"]


def test_this_machine_is_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, watch(tmp_path) as seen:
        socket.create_connection(server.getsockname(), timeout=5).close()
    assert seen.connections == []


def test_nothing_is_noted_outside_of_the_body(tmp_path: Path) -> None:
    with watch(tmp_path) as seen:
        pass
    (tmp_path.parent / "later").write_text("x")
    assert seen.written == []


# -- files -------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that may be written to, and one that may not."""
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "own", tmp_path / "other"


def test_every_way_to_change_a_file_is_seen(places: tuple[Path, Path]) -> None:
    own, other = places
    with watch(own) as seen:
        (own / "fine").write_text("x")
        (other / "written").write_text("x")
        os.close(os.open(other / "opened", os.O_CREAT | os.O_WRONLY))
        (other / "folder").mkdir()
        (own / "fine").rename(other / "moved")
        (other / "written").rename(own / "taken")
        (other / "link").symlink_to(own)
        (other / "opened").unlink()
        sqlite3.connect(other / "base").close()
    assert {Path(path).name for path in seen.written} == {
        *("written", "opened", "folder", "moved", "link", "base"),
    }


def test_reading_and_what_is_there_already_are_no_changes(places: tuple[Path, Path]) -> None:
    own, other = places
    (other / "read").write_text("x")
    with watch(own) as seen:
        (other / "read").read_text()
        other.mkdir(exist_ok=True)
        Path(os.devnull).write_text("x")
    assert seen.written == []


def test_a_path_that_leads_out_is_outside(places: tuple[Path, Path]) -> None:
    own, other = places
    with watch(own) as seen:
        (own / ".." / "other" / "written").write_text("x")
    assert seen.written == [str((other / "written").resolve())]


def test_what_is_deleted_below_an_open_folder_is_inside(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    own, other = places
    (own / "deep").mkdir()
    (own / "deep" / "file").write_text("x")
    monkeypatch.chdir(other)  # relative to which the names would be outside
    with watch(own) as seen:
        shutil.rmtree(own / "deep")
    assert seen.written == []


def test_leftovers_are_found_whoever_wrote_them(places: tuple[Path, Path]) -> None:
    home, work = places
    with watch(home, work) as seen:
        code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('x')"
        subprocess.run([sys.executable, "-c", code, home / "cache"], check=True)
    (work / "empty").mkdir()
    assert seen.written == []
    assert leftovers(home, work) == ["~/cache"]


# -- output ------------------------------------------------------------------------------------


def test_output_of_compiled_code_is_read_back(capfd: pytest.CaptureFixture) -> None:
    with watch_output() as printed:
        print("one")
        os.write(2, b"two\n")
        os.write(1, b"10 %\r50 %\r100 %\n")
    assert sorted(printed.lines) == ["100 %", "one", "two"]


# -- state -------------------------------------------------------------------------------------


def changes(change: Any, own: str = "mine") -> list[str]:
    """What is noted of a change."""
    with watch_state(own, draws=True) as found:
        change()
    return found.found


def test_nothing_is_found_where_nothing_changes() -> None:
    assert changes(lambda: time.sleep(0.01)) == []


def test_each_change_is_found_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import random

    import torch

    monkeypatch.setattr(warnings, "filters", list(warnings.filters))
    root = logging.getLogger()
    handler = logging.NullHandler()
    level, before = root.level, random.getstate()
    try:
        assert changes(lambda: monkeypatch.setenv("GREETING", "hello")) == [
            "the environment variable GREETING was nothing and is hello"
        ]
        assert "the working folder" in changes(lambda: monkeypatch.chdir(tmp_path))[0]
        assert "has /nowhere more" in changes(lambda: monkeypatch.syspath_prepend("/nowhere"))[0]
        found = changes(lambda: warnings.filterwarnings("ignore", module="greetings"))
        assert found[0].startswith("the filters of warnings has ")
        assert changes(lambda: root.addHandler(handler))[0].startswith("the handlers of the root")
        assert changes(lambda: root.setLevel(5)) == [
            f"the level of logger root was {level} and is 5"
        ]
        assert changes(lambda: random.seed(0))[0].startswith("the state of random")
        said = "torch.get_default_dtype() was torch.float32 and is torch.float64"
        assert said in changes(lambda: torch.set_default_dtype(torch.float64))
        assert changes(lambda: torch.set_grad_enabled(False))[0].startswith("torch.is_grad_enabled")
        function = torch.nn.functional.mish
        assert changes(
            lambda: monkeypatch.setattr(torch.nn.functional, "mish", lambda x: function(x))
        ) == ["torch.nn.functional.mish was replaced"]
        assert changes(
            lambda: monkeypatch.setattr(torch.nn.Mish, "forward", lambda self, x: x)
        ) == ["torch.nn.modules.activation.Mish.forward was replaced"]
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        root.removeHandler(handler)
        root.setLevel(level)
        random.setstate(before)


def test_a_thread_that_goes_on_is_found_and_one_that_ends_is_not() -> None:
    end = threading.Event()
    poll = threading.Thread(target=end.wait, name="poll")
    brief = threading.Thread(target=time.sleep, args=(0.1,), name="brief")
    try:
        assert changes(poll.start) == ["thread poll is still running"]
        assert changes(brief.start) == []
    finally:
        end.set()
        poll.join()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that changes the environment while it is imported, and when it is called."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LIBRARY", "absent")
    (tmp_path / "some_library.py").write_text(
        "import os\nos.environ['LIBRARY'] = 'imported'\n"
        "def use():\n    os.environ['LIBRARY'] = 'used'\n"
    )
    yield "some_library"
    sys.modules.pop("some_library", None)


def test_what_a_library_does_as_it_is_imported_is_forgiven(library: str) -> None:
    assert changes(lambda: __import__(library)) == []


def test_what_it_does_when_it_is_called_is_not(library: str) -> None:
    assert changes(lambda: __import__(library).use()) == [
        "the environment variable LIBRARY was imported and is used"
    ]


def test_what_the_plugins_own_module_does_is_not(library: str) -> None:
    assert changes(lambda: __import__(library), own=library) == [
        "the environment variable LIBRARY was absent and is imported"
    ]


def test_importers_are_left_as_they_were(library: str) -> None:
    before = list(sys.meta_path)
    changes(lambda: __import__(library))
    assert sys.meta_path == before
    assert "exec_module" not in vars(sys.modules[library].__spec__.loader)
