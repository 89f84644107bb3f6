"""The conformance kit: what a plugin must hold, as checks that anyone can run.

``ft plugins test`` runs it from the command line, :func:`conformance` from pytest. A check is a
function in :mod:`ft.conformance.checks`; a level is computed from their outcomes.
"""

from ft.conformance.check import KIT
from ft.conformance.pytest import conformance

__all__ = ["KIT", "conformance"]
