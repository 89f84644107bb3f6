"""One plugin of each kind passes everything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from ft.conformance.reference import REFERENCES
from ft.kinds import KINDS

VALUES = {
    kind: next(
        f"{type(plugin).__module__}:{name}"
        for name, value in vars(sys.modules[type(plugin).__module__]).items()
        if value is plugin
    )
    for kind, plugin in REFERENCES.items()
}
"""Kind → the entry point of the reference plugin, in the module of its class."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_plugin_of_a_kind_passes_everything(kind: str, outcomes: Callable) -> None:
    declared = SimpleNamespace(
        name="reference",
        kind=kind,
        value=VALUES[kind],
        headers="License-Expression: Apache-2.0\nRequires-Python: >=3.11\n",
        requires=("ft-core>=0.1,<1",),
        summary="The reference plugin of its kind",
        match={},
        files={},
        limits={},
    )
    found = outcomes(declared)
    assert {id: o.message for id, o in found.items() if o.counts_against} == {}
    assert [o for o in found.values() if o.status == "passed"]
