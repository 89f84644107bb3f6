"""The process that runs the checks of one plugin, one after another, as it is asked to.

It may hang, exit or crash: the session that started it sees that and starts another.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from ft.api import ModelFamily, Plugin
from ft.conformance.check import checks
from ft.conformance.examine import examine
from ft.conformance.outcome import Outcome
from ft.errors import FtError, PluginError
from ft.plugins.load import failure_of, import_plugin
from ft.plugins.policy import installed_index
from ft.plugins.record import Record


def serve(connection: Connection, record: Record, log: str, environment: Mapping[str, str]) -> None:
    """Answer ids of checks with outcomes until ``None`` comes; output goes to the file ``log``."""
    # that of the process that forks may be older than what holds now
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session decides when to stop
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno() if stream is not None else 1)
    os.chdir(Path(log).parent)
    logging.disable(logging.NOTSET)
    preload = sys.modules.get("ft.conformance.preload")
    # from here on the time is the plugin's
    connection.send("device in use" if getattr(preload, "DEVICE_IN_USE", False) else "ready")
    plugin: Plugin | None = None
    companions: Mapping[str, Plugin] = {}
    reason = ""
    while (id := connection.recv()) is not None:
        check = checks()[id]
        if not check.light:
            _one_thread()
        if plugin is None and not reason:
            try:
                plugin = import_plugin(record)
                companions = companions_of(plugin)
            except PluginError as error:
                reason = failure_of(error)
        if plugin is None and not check.metadata:
            connection.send(Outcome(id, "failed", reason))
            continue
        stand_in = plugin or _Absent(record.kind)
        connection.send(examine(check, stand_in, record.name, record, companions))
    os._exit(0)  # whatever threads the plugin left


class _Absent(Plugin):
    """Stands for a plugin that cannot be imported, in checks of its metadata."""

    def __init__(self, kind: str):
        self.kind = kind  # type: ignore[misc]


def companions_of(plugin: Plugin) -> Mapping[str, Plugin]:
    """A family's own template, where it is installed."""
    if not isinstance(plugin, ModelFamily) or not plugin.templates:
        return {}
    name = plugin.templates[0]
    try:
        template = import_plugin(installed_index().find("template", name))
    except FtError:
        return {}
    return {"template": template}


def _one_thread() -> None:
    """Tiny models are slower on several threads, and results differ in the last bit."""
    import torch

    torch.set_num_threads(1)
