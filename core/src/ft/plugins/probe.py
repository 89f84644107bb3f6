"""The child process of the doctor: imports one plugin and writes down how that went.

Run as ``python -c`` with :data:`COMMAND` and two arguments, the request and the report, both
JSON files. Standard output is the plugin's to spoil.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEAVY = (
    "torch",
    "transformers",
    *("accelerate", "datasets", "matplotlib", "numpy", "pandas", "PIL", "pyarrow", "scipy"),
    *("sklearn", "tensorboard", "tokenizers", "triton"),
)
COMMAND = """
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    request = json.load(file)
sys.path[:] = request["path"]
from ft.plugins import guard
from ft.plugins.probe import probe
guard.restore(request["guard"])
probe(request["record"], sys.argv[2], request["first"])
"""


def probe(fields: dict[str, Any], report: str, first: Sequence[str] = ()) -> None:
    """Import the plugin of a record, and end the process whatever the plugin left running.

    The modules ``first`` are imported before and not counted.
    """
    import pydantic

    from ft.errors import PluginError
    from ft.plugins.load import failure_of, import_plugin
    from ft.plugins.record import Record

    record = Record(**fields)
    for name in first:
        importlib.import_module(name)
    before = set(sys.modules)
    started, computed = time.perf_counter(), time.process_time()
    reason = ""
    try:
        plugin = import_plugin(record)
        milliseconds = (time.perf_counter() - started) * 1000
        cpu_milliseconds = (time.process_time() - computed) * 1000
        heavy = [name for name in HEAVY if name in sys.modules and name not in before]
        try:
            plugin.bind(record.name).capabilities()
        except pydantic.ValidationError:
            pass  # an option without a default: only a recipe can bind it
        except Exception as error:
            reason = f"cannot be bound: {type(error).__name__}: {error}"
    except PluginError as error:
        milliseconds = (time.perf_counter() - started) * 1000
        cpu_milliseconds = (time.process_time() - computed) * 1000
        heavy = [name for name in HEAVY if name in sys.modules and name not in before]
        reason = failure_of(error)
    finished = {
        "reason": reason,
        "milliseconds": milliseconds,
        "cpu_milliseconds": cpu_milliseconds,
        "heavy": heavy,
    }
    Path(report).write_text(json.dumps(finished), encoding="utf-8")
    os._exit(0)
