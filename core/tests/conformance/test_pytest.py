"""Two lines in a plugin's repository make a test of every check."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ft.conformance import KIT

HEADERS = "License-Expression: Apache-2.0\nRequires-Python: >=3.11\n"
GOOD = '''
from ft.api import Adapter

class Fine(Adapter):
    """Trains all."""

plugin = Fine()
'''
ELSEWHERE = '''
from ft.api import InputError, Kernel, hookimpl

class Far(Kernel):
    """Is for a device that no machine has."""

    @hookimpl
    def ft_patch_config(self):
        raise InputError("this kernel needs another device")

plugin = Far()
'''
KNOWN = """
from ft.api import KnownFailure

Fine.paper = "a book"
Fine.known_failures = (KnownFailure("every.paper", "there is no arXiv number", "https://x.org/1"),)
"""


@pytest.fixture
def run(site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``run(distribution)``: the exit code and the output of pytest on the two lines."""

    for name in ("PYTEST_ADDOPTS", "FT_KIT"):
        monkeypatch.delenv(name, raising=False)

    def run(distribution: str, level: int = 1, *arguments: str) -> tuple[int, str]:
        folder = tmp_path / "repository"
        folder.mkdir()
        (folder / "test_conformance.py").write_text(
            "from ft.conformance import conformance\n\n"
            f"test = conformance({distribution!r}, level={level})\n"
        )
        path = os.pathsep.join(filter(None, [str(site.path), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments, folder],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_each_check_is_an_item(site, run) -> None:
    site.adapter("fine", GOOD, headers=HEADERS)
    code, out = run("ft-adapter-fine")
    assert code == 0, out
    assert "test[adapter:fine-every.imports] PASSED" in out
    assert not re.search("FAILED|ERROR", out)


def test_a_failing_check_says_what_is_wrong_without_a_traceback(site, run) -> None:
    site.adapter("bad", GOOD + "print('hello')\nplugin = Fine\n", headers=HEADERS)
    code, out = run("ft-adapter-bad")
    assert code == 1, out
    assert "adapter:bad fails every.imports" in out
    assert "must be an object" in out
    assert "conformance/pytest.py" not in out


def test_what_cannot_be_run_here_is_skipped(site, run, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    site.add("ft-kernel-far", {"kernel:far": "far:plugin"}, ELSEWHERE, headers=HEADERS)
    code, out = run("ft-kernel-far", 2)
    assert code == 0, out
    assert "test[kernel:far-kernel.same-gradients] SKIPPED" in out


def test_a_known_failure_is_an_xfail(site, run) -> None:
    site.adapter("known", GOOD + KNOWN, headers=HEADERS)
    code, out = run("ft-adapter-known")
    assert code == 0, out
    assert "test[adapter:known-every.paper] XFAIL" in out


def test_a_known_failure_that_passes_fails(site, run) -> None:
    site.adapter("mended", GOOD + KNOWN.replace('"a book"', "None"), headers=HEADERS)
    code, out = run("ft-adapter-mended")
    assert code == 1, out
    assert "take it out of known_failures" in out


def test_a_distribution_that_is_not_installed_is_named(run) -> None:
    code, out = run("ft-adapter-nowhere")
    assert code == 2
    assert "no plugin of a distribution ft-adapter-nowhere is installed" in out


@pytest.mark.parametrize(("proved", "tried"), [(2, False), (1, True)])
def test_what_a_registry_has_proved_is_tried_at_level_1_alone(
    site, run, monkeypatch, proved: int, tried: bool
) -> None:
    """Where that is asked for, and the proof is of these files and of this level."""
    monkeypatch.setenv("FT_KIT", "changed")
    info = site.adapter("fine", GOOD, headers=HEADERS)
    (info / "RECORD").write_text("ft_adapter_fine.py,sha256=abc,1\n")
    files = hashlib.sha256(b"ft_adapter_fine.py=sha256=abc").hexdigest()
    proof = {"version": "0.1.0", "level": proved, "kit": KIT, "wheel": f"sha256:{'0' * 64}"}
    entry = {
        "distribution": "ft-adapter-fine",
        "plugins": [{"kind": "adapter", "name": "fine"}],
        "proofs": [{**proof, "files": f"sha256:{files}"}],
    }
    site.registry("acme-registry", {"plugins/fine.json": json.dumps(entry)})
    code, out = run("ft-adapter-fine", 2, "--collect-only")
    assert code == 0, out
    assert "adapter:fine-every.imports" in out
    assert ("adapter:fine-adapter.loss-falls" in out) == tried


def test_processes_of_earlier_plugins_end(monkeypatch) -> None:
    """Or a repository of many plugins fills the memory."""
    from ft.conformance import pytest as kit
    from ft.conformance.check import checks
    from ft.plugins.policy import installed_index

    monkeypatch.setattr(kit, "_sessions", {})
    records = [r for r in installed_index().records if r.kind == "tracker" or r.kind == "source"]
    made = []
    for record in records[: kit.KEPT + 1]:
        made.append(kit._session(record, light=True))
        assert made[-1].run(checks()["every.imports"]).status == "passed"
    assert [session._worker.is_started for session in made] == [False] + [True] * kit.KEPT
    again = kit._session(records[0], light=True)
    assert again.run(checks()["every.imports"]).status == "passed"
    for session in [*made, again]:
        session.stop()
