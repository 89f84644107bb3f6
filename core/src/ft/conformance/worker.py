"""What answers in the process that runs the checks of one plugin."""

from __future__ import annotations

from collections.abc import Mapping

from ft.api import ModelFamily, Plugin
from ft.conformance.check import checks
from ft.conformance.examine import examine
from ft.conformance.outcome import Outcome
from ft.conformance.process import one_thread
from ft.errors import FtError, PluginError
from ft.plugins.load import failure_of, import_plugin
from ft.plugins.policy import installed_index
from ft.plugins.record import Record


class Examiner:
    """Answers ids of checks with outcomes; the plugin is imported for the first of them."""

    def __init__(self, record: Record):
        self._record = record
        self._plugin: Plugin | None = None
        self._companions: Mapping[str, Plugin] = {}
        self._reason = ""

    def __call__(self, id: str) -> Outcome:
        check = checks()[id]
        if not check.light:
            one_thread()
        if self._plugin is None and not self._reason:
            try:
                self._plugin = import_plugin(self._record)
                self._companions = companions_of(self._plugin)
            except PluginError as error:
                self._reason = failure_of(error)
        if self._plugin is None and not check.metadata:
            return Outcome(id, "failed", self._reason)
        plugin = self._plugin or _Absent(self._record.kind)
        return examine(check, plugin, self._record.name, self._record, self._companions)


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
