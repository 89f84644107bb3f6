"""``FT_SAFE=1``: what still works, and what refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTE = "FT_SAFE is set: no plugin is loaded.\n"


@pytest.fixture
def broken(site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installed plugin that takes every process with it; returns where it leaves a trace."""
    trace = tmp_path / "ran"
    source = f"import os\nopen({str(trace)!r}, 'w').close()\nos._exit(3)\n"
    site.adapter("bad", source, summary="Ends whatever imports it")
    monkeypatch.setenv("FT_SAFE", "1")
    return trace


@pytest.mark.parametrize(
    "words", [["list"], ["info", "adapter:bad"], ["doctor"]], ids=lambda words: words[0]
)
def test_what_works_says_that_it_is_on(ft, broken: Path, words: list[str]) -> None:
    done = ft("plugins", *words, "--json")
    assert (done.code, done.err) == (0, NOTE)
    (found,) = [json.loads(done.out)] if words[0] == "info" else json.loads(done.out)
    assert (found["name"], found["state"]) == ("bad", "ok")
    assert not broken.exists()


def test_env_works_and_shows_it(ft, broken: Path) -> None:
    done = ft("env", "--json")
    assert json.loads(done.out)["environment"]["FT_SAFE"] == "1"
    assert not broken.exists()


def test_the_kit_refuses(ft, broken: Path) -> None:
    done = ft("plugins", "test", "adapter:bad")
    assert done.code == 2
    assert done.out == ""
    assert "adapter:bad is not loaded, since FT_SAFE is set" in done.err
    assert "unset FT_SAFE" in done.err
    assert not broken.exists()


def test_a_run_refuses(tmp_path: Path, site, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model: model\ndata: rows.jsonl\ntrainer: sft\n")
    monkeypatch.setenv("FT_SAFE", "1")
    done = subprocess.run(
        [sys.executable, "-m", "ft", "train", recipe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not loaded, since FT_SAFE is set" in done.stderr
    assert "unset FT_SAFE" in done.stderr
