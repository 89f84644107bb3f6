"""Importing a plugin: the only place where a plugin's code enters the process.

Whatever goes wrong there is attributed to the plugin by name, ``sys.exit`` included.
"""

from __future__ import annotations

import functools
import importlib
import traceback
from typing import Any

from ft import api
from ft.errors import PluginError
from ft.plugins import guard, health, safe
from ft.plugins.index import check_usable
from ft.plugins.record import Record


def load(record: Record) -> api.Plugin:
    """Import one plugin and return its object, which is shared and unbound.

    Raises :class:`ft.errors.InputError` before any import where policy or state forbid it,
    and :class:`ft.errors.PluginError` where the import fails. A failure is remembered, so
    that a listing shows it; a success after one forgets it.
    """
    check_usable(record)
    try:
        plugin = import_plugin(record)
    except PluginError as error:
        health.learn([(record, failure_of(error))])
        raise
    if record.remembered:
        health.learn([(record, "")])
    return plugin


def import_plugin(record: Record) -> api.Plugin:
    """Import without looking at the record's state and without remembering the outcome.

    Raises :class:`ft.errors.InputError` where nothing may be imported at all (``FT_SAFE``), or
    the files are not those that were locked.
    """
    safe.check(record)
    if record.seal:
        from ft.environment.locked import checked

        if (found := checked(record)) is not record:
            check_usable(found)
        guard.source_alone(record.value.partition(":")[0])
    module_name, _, attributes = record.value.partition(":")
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failure(record, _reason(error)) from error
    try:
        plugin: Any = functools.reduce(getattr, attributes.split("."), module)
    except KeyboardInterrupt:
        raise
    except AttributeError as error:
        raise _failure(record, f"module {module_name} has no {attributes!r}") from error
    except BaseException as error:
        raise _failure(record, _reason(error)) from error
    base = base_class(record)
    if not isinstance(plugin, base):
        what = f"class {plugin.__name__}" if isinstance(plugin, type) else type(plugin).__name__
        raise _failure(
            record, f"{record.value} must be an object of class ft.api.{base.__name__}, not {what}"
        )
    return plugin


def base_class(record: Record) -> type[api.Plugin]:
    """The class of :mod:`ft.api` that plugins of this kind are objects of."""
    for value in vars(api).values():
        if isinstance(value, type) and vars(value).get("kind") == record.kind:
            return value
    raise _failure(record, f"this ft-core has no kind {record.kind!r}")


def failure_of(error: PluginError) -> str:
    """The reason alone, without the plugin's name, as a list shows it."""
    return error.message.removeprefix(f"plugin {error.plugin}: ")


def _failure(record: Record, reason: str) -> PluginError:
    return PluginError(
        record.id,
        reason,
        where=f"{record.distribution} {record.version}",
        hint=f"FT_TRACEBACK=1 shows the traceback; to install it again: "
        f"pip install --force-reinstall {record.distribution}",
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        text = f"calls sys.exit({error.code!r}) when it is imported"
    elif isinstance(error, SyntaxError):
        return f"syntax error in {error.filename} line {error.lineno}: {error.msg}"
    else:
        text = f"fails when it is imported: {type(error).__name__}: {error}".rstrip(": ")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f"{text} ({frames[-1].filename}:{frames[-1].lineno})" if frames else text
