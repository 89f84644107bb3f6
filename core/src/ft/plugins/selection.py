"""The plugins of one run: a pluggy manager that holds them and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from ft.api import hookspecs
from ft.api.plugin import Plugin
from ft.errors import FtError, PluginError
from ft.kinds import CALL_ORDER

if TYPE_CHECKING:
    from ft.api.run import Run


class Selection:
    """Bound plugins, registered so that hooks reach them in :data:`CALL_ORDER`.

    ``defaults`` is core's own object of fall-back hooks, asked last.
    """

    def __init__(self, plugins: Sequence[Plugin], defaults: object | None = None):
        self._plugins = list(plugins)
        self._manager = pluggy.PluginManager("ft")
        self._manager.add_hookspecs(hookspecs)
        self.defaults = defaults
        self._callers: dict[tuple[int, str], Any] = {}
        if defaults is not None:
            self._manager.register(defaults, "ft")
        # pluggy asks the last registered first
        for kind in reversed(CALL_ORDER):
            for plugin in reversed(self.all(kind)):
                self._register(plugin)

    def _register(self, plugin: Plugin) -> None:
        try:
            self._manager.register(plugin, f"{plugin.kind}:{plugin.name}#{id(plugin)}")
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{plugin.kind}:{plugin.name}", str(error)) from error

    @property
    def hook(self) -> Any:
        return self._manager.hook

    def one(self, kind: str) -> Any:
        """The plugin of ``kind``, or ``None``."""
        return next((p for p in self._plugins if p.kind == kind), None)

    def all(self, kind: str | None = None) -> list[Plugin]:
        """The plugins of ``kind`` (or all of them) in the recipe's order."""
        return [p for p in self._plugins if kind is None or p.kind == kind]

    def labelled(self, kind: str) -> dict[str, Plugin]:
        """The plugins of ``kind`` by names that differ: a second ``length`` is ``length-2``."""
        names = {plugin.name for plugin in self.all(kind)}
        found: dict[str, Plugin] = {}
        for plugin in self.all(kind):
            label, number = plugin.name, 1
            while label in found or (number > 1 and label in names):
                number += 1
                label = f"{plugin.name}-{number}"
            found[label] = plugin
        return found

    def call(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        """Call a hook of one plugin alone: the addressed hooks."""
        return self.caller(plugin, hook)(**arguments)

    def caller(self, plugin: Plugin, hook: str) -> Any:
        """The callable behind :meth:`call`, for a loop over many rows."""
        key = (id(plugin), hook)
        if key not in self._callers:
            others = [p for p in self._manager.get_plugins() if p is not plugin]
            self._callers[key] = self._manager.subset_hook_caller(hook, others)
        return self._callers[key]

    def each(self, hook: str, **arguments: Any) -> Iterator[tuple[Plugin, Any]]:
        """Call a hook of each plugin that has it, one by one, with whose result it is."""
        caller = getattr(self.hook, hook)
        for implementation in reversed(caller.get_hookimpls()):
            result = self.call(implementation.plugin, hook, **arguments)
            if not caller.spec.opts["firstresult"]:
                # pluggy gathers what is not None
                result = result[0] if result else None
            yield implementation.plugin, result

    def notify(self, hook: str, *, run: Run, ending: bool = False, **arguments: Any) -> None:
        """Tell the observers of a life-cycle hook.

        An optional one that fails is reported by name and left out from then on; the failure
        of any other ends the run: as the error that it raised on purpose, or as a
        :class:`PluginError`. While the run is ``ending`` all are told whatever happens, and
        failures are reported only, so that none hides why the run ends.
        """
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            plugin = implementation.plugin
            if getattr(plugin, "main_only", False) and not run.process.is_main:
                continue
            try:
                self.call(plugin, hook, run=run, **arguments)
            except Exception as error:
                if not ending and not getattr(plugin, "optional", False):
                    if isinstance(error, FtError):
                        raise
                    raise PluginError(f"{plugin.kind}:{plugin.name}", f"{hook}: {error}") from error
                self.leave_out(plugin)
                run.progress.warn(
                    f"{plugin!r} failed in {hook} ({type(error).__name__}: {error}) and is left "
                    "out from now on"
                )

    def replaced(self, old: Plugin, new: Plugin) -> Selection:
        """The same selection with ``new`` in the place of ``old``."""
        plugins = [new if plugin is old else plugin for plugin in self._plugins]
        return Selection(plugins, self.defaults)

    def leave_out(self, plugin: Plugin) -> None:
        """Call no further hook of ``plugin``."""
        self._manager.unregister(plugin)
        self._plugins.remove(plugin)
        self._callers.clear()
