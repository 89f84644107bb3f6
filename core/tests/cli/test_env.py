"""``ft env``: what it reports, and that it reports whatever is missing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ft.cli import env


def test_env(site, ft, monkeypatch: pytest.MonkeyPatch) -> None:
    site.adapter("lora")
    monkeypatch.setattr(env, "_torch", lambda: "the processor only")
    monkeypatch.setenv("FT_SOMETHING", "visible")
    monkeypatch.setenv("HF_TOKEN", "hf_private")
    Path("ft.toml").write_text("")
    result = ft("env")
    assert result.code == 0
    assert "hf_private" not in result.out
    assert "HF_TOKEN (set)" in result.out
    assert "FT_SOMETHING visible" in result.out
    assert max(len(line) for line in result.out.splitlines()) <= 80
    facts = json.loads(ft("env", "--json").out)
    assert facts["ft-core"] == "0.1.0"
    assert facts["plugins"] == "1 ok"
    assert facts["policy"] == [str(Path("ft.toml").absolute())]
    assert "click" in facts["libraries"]
    assert "core" in facts["processor"]


def test_without_torch(ft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = ft("env")
    assert result.code == 0
    assert "nothing: ModuleNotFoundError" in result.out


def test_with_a_damaged_policy(ft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "_torch", lambda: "the processor only")
    Path("ft.toml").write_text("[plugins]\nallow = 3\n")
    result = ft("env")
    assert result.code == 0
    assert "ft.toml:2" in result.out
