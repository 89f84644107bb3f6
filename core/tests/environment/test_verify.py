"""``ft env verify``: every difference between what is installed and the lock is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def told(synced, capsys: pytest.CaptureFixture):
    """The differences that are told, each as distribution, kind and file; exit code 1."""

    def tell() -> list[tuple[str, str, str]]:
        capsys.readouterr()
        assert synced.verify("--json") == 1
        report = json.loads(capsys.readouterr().out)
        return [(d["distribution"], d["kind"], d["file"]) for d in report["differences"]]

    return tell


def test_what_is_as_the_lock_says(synced, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    assert synced.verify() == 0
    assert "3 distributions, file by file as in pylock.toml" in capsys.readouterr().out
    assert synced.verify("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {"lock": "pylock.toml", "distributions": 3, "differences": [], "unchecked": []}


def test_one_changed_byte(synced, told, capsys: pytest.CaptureFixture) -> None:
    file = synced.site() / "made_adapter/part.py"
    file.write_bytes(b"Part = 1\n")
    assert told() == [("ft-adapter-made", "changed", "made_adapter/part.py")]
    assert synced.verify() == 1
    assert capsys.readouterr().out.splitlines() == [
        "ft-adapter-made: made_adapter/part.py is not the file that was installed",
        "1 difference from pylock.toml",
    ]


def test_a_missing_file(synced, told) -> None:
    (synced.site() / "other.py").unlink()
    assert told() == [("other", "missing", "other.py")]


def test_a_changed_script(synced, told) -> None:
    """It lies outside of the folder of packages, and RECORD has it."""
    script = synced.python.with_name("made")
    script.write_text(script.read_text() + "print()\n")
    assert told() == [("ft-adapter-made", "changed", "../../../bin/made")]


def test_a_change_that_its_record_goes_along_with(synced, told) -> None:
    synced.rewrite("other", "other.py", "value = 2\n")
    (found,) = told()
    assert found[:2] == ("other", "record")


def test_a_record_that_leaves_a_hash_out(synced, told) -> None:
    record = synced.place().installed["other"].info / "RECORD"
    lines = [
        "other.py,," if line.startswith("other.py,") else line
        for line in record.read_text().splitlines()
    ]
    record.write_text("\n".join(lines))
    (synced.site() / "other.py").write_text("value = 2\n")
    assert [kind for _, kind, _ in told()] == ["changed", "record"]


def test_no_record_at_all(synced, told) -> None:
    (synced.place().installed["other"].info / "RECORD").unlink()
    assert told() == [("other", "no-record", "")]


@pytest.mark.parametrize(
    "name",
    ["evil.py", "part.cpython-311-x86_64-linux-gnu.so", "evil.pyc", "deep/evil.py"],
)
def test_a_file_that_no_record_lists(synced, told, name: str) -> None:
    file = synced.site() / "made_adapter" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    assert told() == [("ft-adapter-made", "unowned", f"made_adapter/{name}")]


def test_a_link_to_a_folder_elsewhere(synced, told) -> None:
    (synced.folder / "evil").mkdir()
    (synced.site() / "made_adapter/evil").symlink_to(synced.folder / "evil")
    assert told() == [("ft-adapter-made", "unowned", "made_adapter/evil")]


def test_byte_code_is_no_such_file(synced) -> None:
    kept = synced.site() / "made_adapter/__pycache__"
    kept.mkdir()
    (kept / "part.cpython-311.pyc").write_bytes(b"")
    assert synced.verify() == 0


def test_a_plugin_with_a_pth_file(synced, told) -> None:
    synced.plugin(files={"made.pth": "import made_adapter\n"})
    assert (synced.lock(), synced.sync()) == (0, 0)
    assert told() == [("ft-adapter-made", "start-up", "made.pth")]


def test_so_is_one_of_a_plugin_that_is_not_in_the_lock(synced, told) -> None:
    points = "[ft.adapter]\nmore = more:plugin\n"
    files = {"more.py": "", "more.pth": "import more\n"}
    synced.wheel("ft-adapter-more", files, entry_points=points)
    synced.install("ft-adapter-more")
    assert told() == [
        ("ft-adapter-more", "not-locked", ""),
        ("ft-adapter-more", "start-up", "more.pth"),
    ]


def test_a_pth_file_of_nobody(synced, told) -> None:
    (synced.site() / "zero.pth").write_text("import other\n")
    assert told() == [("the environment", "start-up", "zero.pth")]


def test_a_distribution_that_is_not_in_the_lock(synced, told) -> None:
    synced.wheel("ft-adapter-Iora", {"iora.py": ""})
    synced.install("ft-adapter-Iora")
    assert told() == [("ft-adapter-iora", "not-locked", "")]


def test_a_distribution_that_is_not_there(synced, told) -> None:
    info = synced.place().installed["other"].info
    info.rename(info.with_name("gone"))
    assert told() == [("other", "absent", "")]


def test_another_version(synced, told) -> None:
    synced.wheel("other", {"other.py": "value = 2\n"}, version="0.2.0")
    synced.install("other==0.2.0")
    assert told() == [("other", "version", "")]


def test_one_that_is_installed_twice(synced, told) -> None:
    """Which of the two is imported hangs on the order of the path."""
    info = synced.site() / "Other-0.0.1.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("")
    assert "twice" in [kind for _, kind, _ in told()]


def test_a_lock_with_a_hash_removed(synced, told) -> None:
    synced.remove_hash()
    assert ("ft-adapter-made", "no-hash", "") in told()


def test_a_set_that_has_changed(synced, told) -> None:
    with Path("team.toml").open("a") as file:
        file.write('ft-adapter-more = ""\n')
    assert told() == [("the set team.toml", "set", "")]


def test_a_set_in_other_words_is_the_same(synced) -> None:
    text = Path("team.toml").read_text()
    Path("team.toml").write_text("# reviewed\n" + text.replace("Made for a test", "Reviewed"))
    assert synced.verify() == 0


def test_a_set_that_is_gone(synced, capsys: pytest.CaptureFixture) -> None:
    Path("team.toml").unlink()
    Path("ft.toml").unlink()
    assert synced.verify() == 2
    assert "team.toml" in capsys.readouterr().err


def test_without_notes(synced, told) -> None:
    Path("pylock.files.json").unlink()
    assert [kind for _, kind, _ in told()] == ["not-noted"] * 3


@pytest.mark.parametrize("text", ["", "[]", '{"other": 1}', '{"other": {"version": "1"}}'])
def test_notes_of_another_form(synced, text: str, capsys: pytest.CaptureFixture) -> None:
    Path("pylock.files.json").write_text(text)
    assert synced.verify() == 2
    assert "pylock.files.json: is not what ft env sync writes" in capsys.readouterr().err


def test_from_another_folder(synced, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock lies beside ft.toml, or where that says."""
    deep = synced.folder / "deep" / "er"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert synced.verify() == 0
    Path("pylock.toml").write_text("")
    assert synced.verify("--lock", "pylock.toml") == 2
