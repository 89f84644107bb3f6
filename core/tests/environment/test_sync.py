"""``ft env sync``: the environment that a lock says, from wheels whose hashes were checked."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from ft.environment.record import record_digest


def notes() -> dict[str, dict]:
    return json.loads(Path("pylock.files.json").read_text())


def test_an_environment_becomes_equal_to_its_lock(desk, capsys: pytest.CaptureFixture) -> None:
    desk.lock()
    capsys.readouterr()
    assert desk.sync("--dry-run") == 0
    out = capsys.readouterr().out
    assert "+ ft-adapter-made  0.1.0" in out
    assert "3 changes; nothing was done" in out
    assert desk.place().installed == {}
    assert desk.sync() == 0
    assert set(desk.place().installed) == {"ft-adapter-made", "ft-core", "other"}
    assert {entry["origin"] for entry in notes().values()} == {"wheel"}
    assert desk.verify() == 0
    capsys.readouterr()
    assert desk.sync("--dry-run") == 0
    assert capsys.readouterr().out == "0 changes; nothing was done\n"


def test_what_the_lock_does_not_have_goes(synced, capsys: pytest.CaptureFixture) -> None:
    synced.wheel("stranger", {"stranger.py": ""})
    synced.install("stranger")
    capsys.readouterr()
    assert synced.sync() == 0
    assert "- stranger  0.1.0 is removed" in capsys.readouterr().out
    assert "stranger" not in synced.place().installed


def test_even_pip_which_uv_alone_would_leave(desk) -> None:
    desk.lock()
    subprocess.run([desk.python, "-m", "venv", "--clear", "venv"], check=True, cwd=desk.folder)
    assert "pip" in desk.place().installed
    assert desk.sync() == 0
    assert desk.verify() == 0


def test_another_version_is_replaced(synced, capsys: pytest.CaptureFixture) -> None:
    synced.plugin(version="0.2.0")
    synced.lock("--upgrade")
    capsys.readouterr()
    assert synced.sync() == 0
    assert "~ ft-adapter-made  0.1.0 becomes 0.2.0" in capsys.readouterr().out
    assert synced.verify() == 0


def test_a_wheel_with_another_hash_is_refused(desk, capsys: pytest.CaptureFixture) -> None:
    built = desk.plugin()
    desk.lock()
    with zipfile.ZipFile(built, "a") as archive:
        archive.writestr("made_adapter/more.py", "import os\n")
    assert desk.sync() == 1
    assert "Hash mismatch for `ft-adapter-made" in capsys.readouterr().err
    assert not (desk.site() / "made_adapter").exists()
    assert not Path("pylock.files.json").exists()


def test_a_lock_with_a_hash_removed_is_refused(desk, capsys: pytest.CaptureFixture) -> None:
    desk.lock()
    desk.remove_hash()
    assert desk.sync() == 2
    error = capsys.readouterr().err
    assert "pylock.toml:7: ft-adapter-made has no hash for ft_adapter_made-0.1.0" in error
    assert desk.place().installed == {}


def test_a_plugin_that_was_there_is_taken_from_its_wheel(
    desk, capsys: pytest.CaptureFixture
) -> None:
    """Its version is right, and what it is made of nobody knows."""
    desk.install("ft-adapter-made", "ft-core")
    (desk.site() / "made_adapter/__init__.py").write_text("plugin = 'another'\n")
    desk.lock()
    assert desk.sync() == 0
    assert (desk.site() / "made_adapter/__init__.py").read_text() == "plugin = 1\n"
    origins = {name: entry["origin"] for name, entry in notes().items()}
    assert origins == {"ft-adapter-made": "wheel", "ft-core": "wheel", "other": "found"}
    capsys.readouterr()
    assert desk.verify() == 0
    assert "they were there before: 1;" in capsys.readouterr().err
    assert desk.sync("--reinstall") == 0
    assert {entry["origin"] for entry in notes().values()} == {"wheel"}


def test_what_was_changed_is_put_right(synced) -> None:
    for name in ("made_adapter/part.py", "other.py"):
        (synced.site() / name).write_text("x = 1\n")
    assert synced.verify() == 1
    assert synced.sync() == 0
    assert (synced.site() / "made_adapter/part.py").read_text() == "part = 1\n"
    # libraries may be large, so that their files are read by verify alone
    assert synced.verify() == 1
    assert synced.sync("--reinstall") == 0
    assert synced.verify() == 0


def test_a_record_that_was_rewritten_does_not_become_the_note(synced) -> None:
    before = notes()["other"]
    synced.rewrite("other", "other.py", "value = 3\n")
    assert synced.sync() == 0
    assert notes()["other"] == before
    assert (synced.site() / "other.py").read_text() == "value = 1\n"


def test_a_wheel_built_again_in_the_same_version_is_installed(synced) -> None:
    synced.plugin("plugin = 2\n")
    assert synced.lock() == 0
    assert synced.verify() == 1
    assert synced.sync() == 0
    assert (synced.site() / "made_adapter/__init__.py").read_text() == "plugin = 2\n"


def test_the_notes_are_the_same_in_every_environment(synced) -> None:
    """Whoever installs it, wherever: so they can be reviewed and kept with the lock."""
    first = Path("pylock.files.json").read_bytes()
    other = synced.environment("elsewhere/and/deeper")
    assert synced.sync(python=other) == 0
    assert Path("pylock.files.json").read_bytes() == first

    python = synced.folder / "third/bin/python"
    subprocess.run([synced.python, "-m", "venv", "third"], check=True, cwd=synced.folder)
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", synced.wheels]
    subprocess.run([*pip, "ft-adapter-made"], check=True)
    info = synced.place(python).installed["ft-adapter-made"].info
    assert record_digest(info) == notes()["ft-adapter-made"]["record"]


def test_a_changed_cache_of_uv_is_told(desk, capsys: pytest.CaptureFixture) -> None:
    """What uv has unpacked before it trusts, and links may lead back into it."""
    desk.lock()
    assert desk.sync() == 0
    (kept,) = (desk.folder.parent / "uv").rglob("made_adapter/part.py")
    kept.write_text("part = 2\n")
    other = desk.environment("other")
    assert desk.sync(python=other) == 1
    assert "uv cache clean ft-adapter-made" in capsys.readouterr().err


def test_what_is_no_interpreter(desk, capsys: pytest.CaptureFixture) -> None:
    desk.lock()
    assert desk.sync(python=Path("ft.toml")) == 2
    assert "is no Python interpreter that answers" in capsys.readouterr().err
