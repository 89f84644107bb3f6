"""``ft env lock``, and reading what it writes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ft.environment.lock import read_lock
from ft.errors import InputError


def test_a_set_becomes_a_lock_with_hashes(desk, capsys: pytest.CaptureFixture) -> None:
    assert desk.lock() == 0
    assert "pylock.toml: 3 distributions for the set team.toml" in capsys.readouterr().out
    lock = read_lock(Path("pylock.toml"))
    assert {entry.name: entry.version for entry in lock.packages} == {
        "ft-adapter-made": "0.1.0",
        "ft-core": "0.1.0",
        "other": "0.1.0",
    }
    assert all(len(entry.hashes) == 1 and not entry.unhashed for entry in lock.packages)
    assert lock.asked == {"ft-adapter-made", "ft-core"}
    assert lock.set == "team.toml"


def test_it_can_be_moved_with_its_wheels(desk) -> None:
    """It has no path of the machine that it was made on."""
    assert desk.lock("--output", "locked/pylock.toml") == 0
    text = Path("locked/pylock.toml").read_text()
    assert str(desk.folder) not in text
    places = [
        wheel["path"] for entry in tomllib.loads(text)["packages"] for wheel in entry["wheels"]
    ]
    assert "../wheels/other-0.1.0-py3-none-any.whl" in places
    assert read_lock(Path("locked/pylock.toml")).set == "../team.toml"


def test_a_version_stays_until_it_is_asked_to_move(desk) -> None:
    assert desk.lock() == 0
    desk.plugin(version="0.2.0")
    versions = []
    for options in ([], ["--upgrade"]):
        assert desk.lock(*options) == 0
        found = {e.name: e.version for e in read_lock(Path("pylock.toml")).packages}
        versions.append(found["ft-adapter-made"])
    assert versions == ["0.1.0", "0.2.0"]


def test_a_wheel_that_was_built_again_gets_its_new_hash(desk) -> None:
    assert desk.lock() == 0
    before = read_lock(Path("pylock.toml")).packages[0].hashes
    desk.plugin("plugin = 2\n")
    assert desk.lock() == 0
    assert read_lock(Path("pylock.toml")).packages[0].hashes != before


def test_what_is_kept_is_locked_as_installed(synced) -> None:
    synced.wheel("other", {"other.py": "value = 2\n"}, version="0.2.0")
    assert synced.lock("--upgrade", "--keep", "Other") == 0
    lock = read_lock(Path("pylock.toml"))
    assert {e.name: e.version for e in lock.packages}["other"] == "0.1.0"
    assert "other" not in lock.asked
    assert synced.lock("--keep", "absent") == 2


def test_constraints_hold(desk, capsys: pytest.CaptureFixture) -> None:
    desk.plugin(version="0.2.0")
    Path("bounds.txt").write_text("ft-adapter-made<0.2\n")
    assert desk.lock("--constraint", "bounds.txt") == 0
    assert read_lock(Path("pylock.toml")).packages[0].version == "0.1.0"
    Path("bounds.txt").write_text("ft-adapter-made<0.1\n")
    assert desk.lock("--constraint", "bounds.txt") == 1
    assert "the set team.toml cannot be resolved" in capsys.readouterr().err.replace(
        str(desk.folder) + "/", ""
    )
    # a failure leaves the former lock alone
    assert read_lock(Path("pylock.toml")).packages[0].version == "0.1.0"


def test_a_range_cannot_say_more_than_a_range(desk, capsys: pytest.CaptureFixture) -> None:
    """A line feed would begin a line of uv's own file: another distribution, or an option."""
    text = Path("team.toml").read_text()
    Path("team.toml").write_text(text.replace('">=0.1,<1"', '">=0.1\\nother==9"'))
    assert desk.lock() == 2
    assert "where a range of versions belongs" in capsys.readouterr().err
    assert not Path("pylock.toml").exists()


def test_without_a_set(desk, capsys: pytest.CaptureFixture) -> None:
    Path("ft.toml").unlink()
    assert desk.lock() == 2
    assert "no set is named" in capsys.readouterr().err


def test_an_absent_lock(desk, capsys: pytest.CaptureFixture) -> None:
    assert desk.verify() == 2
    assert '"ft env lock" makes one' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a lock of version 1"),
        ('lock-version = "2.0"', "is not a lock of version 1"),
        ('lock-version = "1.0"\npackages = 3', "packages must be a list"),
        ('lock-version = "1.0"\n[[packages]]\nversion = "1"', "the entry has no name"),
        ('lock-version = "1.0"\n[[packages]]\nname = "a"\nwheels = [1]', "is not a table"),
        ('lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = 1', "version must be a str"),
        ('lock-version = "1.0"\n[tool]\nft = 1', "ft must be a dict"),
        ("lock-version =", "cannot be read"),
    ],
)
def test_what_is_no_lock(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "pylock.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as raised:
        read_lock(file)
    assert str(raised.value.where).startswith(str(file))


def test_an_entry_of_another_system_is_not_needed_here(tmp_path: Path) -> None:
    file = tmp_path / "pylock.toml"
    file.write_text(
        'lock-version = "1.0"\n'
        '[[packages]]\nname = "a"\nversion = "1"\nmarker = "sys_platform == \'nowhere\'"\n'
        '[[packages]]\nname = "b"\nversion = "1"\nmarker = "python_version < \'3.12\'"\n'
    )
    lock = read_lock(file)
    assert list(lock.applying("3.11.7")) == ["b"]
    assert list(lock.applying("3.12.0")) == []
    assert [entry.where for entry in lock.packages] == [f"{file}:2", f"{file}:6"]
