"""A fused loss and an attention of its own pass everything, as the reference kernel does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "mutants"))
from mutant import Mutant


@pytest.mark.parametrize(
    ("name", "passed", "refused"),
    [
        ("fused_loss", "kernel.tied-output-layer", None),
        ("windowed", "kernel.same-gradients", "kernel.packed-documents-stay-apart"),
    ],
)
def test_a_kernel_of_another_sort_passes_everything(
    name: str, passed: str, refused: str | None, outcomes: Callable
) -> None:
    declared = Mutant(name.replace("_", "-"), "kernel", f"other_kernels:{name}", frozenset())
    found = outcomes(declared)
    assert {id: o.message for id, o in found.items() if o.counts_against} == {}
    assert found[passed].status == "passed"
    assert refused is None or found[refused].status == "refused"
