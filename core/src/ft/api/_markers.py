"""The pluggy markers. The project name makes hook options live under ``ft_``-attributes."""

import pluggy

hookspec = pluggy.HookspecMarker("ft")
hookimpl = pluggy.HookimplMarker("ft")
