"""Kind ``tracker``: where metrics go."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Tracker(Plugin):
    """An observer of the run.

    It implements life-cycle hooks, which fire in the main process only. One that fails is
    reported by name and left out; the run goes on.
    """

    kind = "tracker"
    optional = True
    main_only = True
