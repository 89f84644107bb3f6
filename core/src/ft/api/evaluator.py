"""Kind ``evaluator``: a measure of the model."""

from __future__ import annotations

from ft.api.plugin import Plugin


class Evaluator(Plugin):
    """A measure taken at each evaluation; implements :func:`ft_evaluate`."""

    kind = "evaluator"
