"""Kind ``backend``: how processes are launched and divided."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Backend(Plugin):
    """A way to run on several devices.

    It implements :func:`ft_launch`, :func:`ft_start_process`, :func:`ft_wrap_model` and
    :func:`ft_sum`. Without one the run stays in its one process.
    """

    kind = "backend"
