"""The child process of the doctor: imports one plugin and writes down how that went.

Run as ``python -c`` with :data:`COMMAND` and two arguments, the request and the report, both
JSON files. Standard output is the plugin's to spoil.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HEAVY = ("torch", "transformers")
COMMAND = """
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
sys.path[:] = request["path"]
from ft.plugins.probe import probe
probe(request["record"], sys.argv[2])
"""


def probe(fields: dict[str, Any], report: str) -> None:
    """Import the plugin of a record, and end the process whatever the plugin left running."""
    import pydantic

    from ft.errors import PluginError
    from ft.plugins.load import failure_of, import_plugin
    from ft.plugins.record import Record

    record = Record(**fields)
    before = set(sys.modules)
    started = time.perf_counter()
    reason = ""
    try:
        plugin = import_plugin(record)
        milliseconds = (time.perf_counter() - started) * 1000
        heavy = [name for name in HEAVY if name in sys.modules and name not in before]
        try:
            plugin.bind(record.name).capabilities()
        except pydantic.ValidationError:
            pass  # an option without a default: only a recipe can bind it
        except Exception as error:
            reason = f"cannot be bound: {type(error).__name__}: {error}"
    except PluginError as error:
        milliseconds = (time.perf_counter() - started) * 1000
        heavy = [name for name in HEAVY if name in sys.modules and name not in before]
        reason = failure_of(error)
    finished = {"reason": reason, "milliseconds": milliseconds, "heavy": heavy}
    Path(report).write_text(json.dumps(finished), encoding="utf-8")
    os._exit(0)
