"""What the project publishes: every wheel is complete, and a proof of one is recorded."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from checkout import ROOT, Distribution, distributions

from ft.registry.wheel import build_wheel

ONE = "ft-tracker-jsonl"


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module ``registry/release.py``."""
    monkeypatch.syspath_prepend(str(ROOT / "registry"))
    import release

    return release


@pytest.mark.parametrize("distribution", distributions(), ids=str)
def test_a_plugin_could_be_published_as_it_is(
    distribution: Distribution, release: ModuleType, tmp_path: Path
) -> None:
    assert release.release(distribution.folder, tmp_path, prove=False) == []


@pytest.mark.parametrize("name", ["core", "registry"])
def test_so_could_core_and_registry(name: str, tmp_path: Path) -> None:
    wheel = build_wheel(ROOT / name, tmp_path)
    assert [file for file in wheel.names if file.endswith("/licenses/LICENSE")]
    assert str(wheel.metadata.get_payload()).strip()
    assert wheel.header("Author")
    assert wheel.headers("Project-URL")


def test_a_level_is_recorded_with_its_wheel(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kit, once; a wheel that has its proof is not tried again."""
    compute = sys.modules["compute"]
    for name in ("FILE", "EVERYTHING"):
        copied = shutil.copy(getattr(compute, name), tmp_path)
        monkeypatch.setattr(compute, name, Path(copied))
    assert release.main([ONE, "--prove", "--output", str(tmp_path)]) == 0

    entries = json.loads(compute.FILE.read_text(encoding="utf-8"))
    (proof,) = next(entry for entry in entries if entry["distribution"] == ONE)["proofs"]
    wheel = build_wheel(ROOT / "plugins" / "tracker" / "jsonl", tmp_path)
    assert (proof["version"], proof["wheel"]) == (wheel.version, wheel.digest)
    assert proof["level"] == 2
    # what is computed anew keeps it
    assert compute.text(compute.compute()).count(wheel.digest) == 1
    monkeypatch.setattr(release, "kit_report", None)
    assert release.main([ONE, "--prove", "--output", str(tmp_path)]) == 0

    # while it is of the files that are here
    text = compute.FILE.read_text(encoding="utf-8")
    compute.FILE.write_text(text.replace(proof["files"], f"sha256:{'0' * 64}"), encoding="utf-8")
    assert wheel.digest not in compute.text(compute.compute())
