"""What a plugin does beside its work: connections, files, output."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft.conformance.state import watch_state
from ft.plugins.record import Record

_CONNECTS = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
_CHANGES = {
    # event → positions of the paths that change, each with that of the folder it is relative to
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.truncate": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "shutil.rmtree": ((0, 1),),
    "sqlite3.connect": ((0, None),),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_THIS_MACHINE = ("localhost", "127.", "::1", "0.0.0.0")


@dataclass
class Seen:
    """What was done under :func:`watch`: addresses, and paths outside of the allowed folders."""

    connections: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)


class _Watch:
    def __init__(self, allowed: Sequence[Path], code: Path | None):
        self.seen = Seen()
        self.allowed = tuple(os.path.realpath(folder) for folder in allowed)
        self.code = os.path.realpath(code) + os.sep if code is not None else None

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _CONNECTS:
            self._connects(event, args)
        elif event == "open":
            path, mode, flags = args
            if any(letter in (mode or "") for letter in "wax+") or (flags or 0) & _WRITES:
                self._changes(path)
        elif event in _CHANGES:
            for position, folder in _CHANGES[event]:
                if event != "os.mkdir" or not Path(os.fsdecode(args[0])).exists():
                    relative_to = args[folder] if folder is not None and folder < len(args) else -1
                    self._changes(args[position], relative_to)

    def _connects(self, event: str, args: tuple[Any, ...]) -> None:
        address = args[-1] if event in ("socket.connect", "socket.sendto") else args[0]
        # a path is a socket of this machine's, which processes speak to each other through
        if isinstance(address, (str, bytes)) and event == "socket.connect":
            return
        host = address[0] if isinstance(address, tuple) and address else address
        host = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
        if host.startswith(_THIS_MACHINE) or host == "None":
            return
        port = args[1] if event == "socket.getaddrinfo" and len(args) > 1 else None
        port = address[1] if isinstance(address, tuple) and len(address) > 1 else port
        self.seen.connections.append(host if port is None else f"{host}:{port}")
        raise ConnectionRefusedError("the conformance kit lets no plugin reach the network")

    def _changes(self, path: Any, folder: Any = -1) -> None:
        if isinstance(path, int) or path is None:
            return
        text = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(text):  # noqa: PTH117
            with suppress(OSError):
                text = str(Path(f"/proc/self/fd/{folder}").readlink() / text)
        real = os.path.realpath(text)
        inside = real.startswith(tuple(f"{folder}{os.sep}" for folder in self.allowed))
        beside_code = self.code is not None and real.startswith(self.code)
        if ((inside or real in self.allowed) and not beside_code) or "__pycache__" in real:
            return
        if real.startswith(("/dev/", "/proc/")) or text == ":memory:":
            return
        self.seen.written.append(real)


_active: list[_Watch] = []
_installed = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _active and (event == "open" or event in _CONNECTS or event in _CHANGES):
        _active[-1].hear(event, args)


@contextmanager
def watch(*allowed: Path, code: Path | None = None) -> Iterator[Seen]:
    """Note connections, which are refused, and changes to files outside of ``allowed``.

    Files below ``code``, the plugin's own, may not change even where that lies in ``allowed``.
    Python's own calls are seen (PEP 578); what a compiled library writes by itself is not.
    Connections to this machine itself are no network.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    watching = _Watch(allowed, code)
    _active.append(watching)
    try:
        yield watching.seen
    finally:
        _active.remove(watching)


@dataclass
class Printed:
    """What was written to the standard streams under :func:`watch_output`."""

    text: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines that show: a progress bar that draws over itself is one."""
        lines = (line.rpartition("\r")[2] for line in self.text.split("\n"))
        return [line for line in lines if line.strip()]


@contextmanager
def watch_output() -> Iterator[Printed]:
    """Read back what the body writes, where the standard streams go to a file.

    That of compiled libraries too. The streams stay as they are, so that whoever watches over
    this process sees how much it writes.
    """
    printed = Printed()
    _flush()
    starts = {number: _end(number) for number in (1, 2)}
    try:
        yield printed
    finally:
        _flush()
        same = os.path.sameopenfile(1, 2)
        printed.text = "".join(_since(n, starts[n]) for n in ((1,) if same else (1, 2)))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _end(number: int) -> int | None:
    """The size of the file behind a descriptor; ``None`` for a terminal or a pipe."""
    found = os.fstat(number)
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _since(number: int, start: int | None) -> str:
    if start is None:
        return ""
    with suppress(OSError), open(f"/dev/fd/{number}", "rb") as file:  # noqa: PTH123
        file.seek(start)
        return file.read().decode(errors="replace")
    return "?\n" * bool((_end(number) or 0) > start)


# -------------------------------------------------------------------------------------------
# The import of a plugin, in a process that has done nothing else
# -------------------------------------------------------------------------------------------

_COMMAND = """
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
sys.path[:] = request["path"]
from ft.conformance.guard import note_import
note_import(request["record"], sys.argv[2])
"""


_ENVIRONMENT = dict(os.environ)
"""As it was when the kit was imported, before any plugin could change it."""


@dataclass(frozen=True)
class Imported:
    """What the import of a plugin did beside giving its object.

    ``heavy`` are large libraries that it loaded, and ``cpu_milliseconds`` is what it computed,
    the kit's own looking on included.
    """

    heavy: list[str]
    cpu_milliseconds: float
    connections: list[str]
    written: list[str]
    changed: list[str]
    printed: list[str]


def watch_import(record: Record, folder: Path, timeout: float = 60.0) -> Imported:
    """Import a plugin in a fresh process and say what that did.

    Home, working and cache folder of that process lie in ``folder``. Raises
    :class:`AssertionError` where the import does not end there.
    """
    places = {name: folder / name for name in ("home", "work", "cache")}
    for place in places.values():
        place.mkdir(parents=True)
    request, report, output = folder / "request", folder / "report", folder / "output"
    fields = {
        name: getattr(record, name) for name in ("kind", "name", "distribution", "version", "value")
    }
    request.write_text(json.dumps({"path": sys.path, "record": fields}), encoding="utf-8")
    environment = {**_ENVIRONMENT, **scratch_home(places["home"], places["cache"])}
    with output.open("wb") as stream:
        try:
            subprocess.run(
                [sys.executable, "-c", _COMMAND, str(request), str(report)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=places["work"],
                env=environment,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(f"its import did not end within {timeout:g} s") from None
    printed = Printed(output.read_text(encoding="utf-8", errors="replace")).lines
    assert report.exists(), (
        f"a fresh process ends without having imported it; it wrote last: {printed[-1:]}"
    )
    found = json.loads(report.read_text(encoding="utf-8"))
    found["written"] += leftovers(places["home"], places["work"])
    return Imported(**found, printed=printed)


def note_import(fields: dict[str, Any], report: str) -> None:
    """The other end of :func:`watch_import`: import, and write down what happened."""
    # the kit itself is there already: a plugin that has its own test beside it may use it
    import ft.conformance.reference  # noqa: F401
    from ft.errors import PluginError
    from ft.plugins.load import import_plugin
    from ft.plugins.probe import HEAVY

    record = Record(**fields)
    before = set(sys.modules)
    with (
        watch(Path(tempfile.gettempdir())) as seen,
        watch_state(own_module(record), draws=True) as changes,
        suppress(PluginError),  # the check every.imports says so
    ):
        started = time.process_time()
        try:
            import_plugin(record)
        finally:
            computed = time.process_time() - started
    found = {
        "heavy": [name for name in HEAVY if name in sys.modules and name not in before],
        "cpu_milliseconds": computed * 1000,
        "connections": seen.connections,
        "written": seen.written,
        "changed": changes.found,
    }
    Path(report).write_text(json.dumps(found), encoding="utf-8")
    _flush()
    os._exit(0)  # whatever threads the plugin left


def own_module(record: Record) -> str:
    """The module or package that a plugin's own code lies in."""
    module = record.value.partition(":")[0]
    top = module.partition(".")[0]
    return module if top == "ft" else top  # the kit's reference plugins are part of core


def scratch_home(home: Path, cache: Path) -> dict[str, str]:
    """The environment variables of a process whose user's folders are these."""
    places = {"HOME": str(home), "USERPROFILE": str(home), "FT_CACHE_DIR": str(cache)}
    for name, folder in (("CACHE", ".cache"), ("CONFIG", ".config"), ("DATA", ".local/share")):
        places[f"XDG_{name}_HOME"] = str(home / folder)
    return places


def leftovers(*folders: Path) -> list[str]:
    """The files in folders that were empty, as ``~/…`` and ``./…`` for home and working folder."""
    marks = ("~", ".")
    return [
        f"{mark}/{path.relative_to(folder)}"
        for mark, folder in zip(marks, folders, strict=True)
        for path in sorted(folder.rglob("*"))
        if not path.is_dir() and "__pycache__" not in path.parts
    ]
