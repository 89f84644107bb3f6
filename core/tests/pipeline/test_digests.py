"""Digests are remembered as long as a file is the same, and no longer."""

import hashlib
import os
import time

import pytest

from ft.pipeline import digests as module
from ft.pipeline.digests import digests


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "LARGE", 4)
    monkeypatch.setattr(module, "SETTLED", 0.01)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    time.sleep(0.05)
    return path


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def refuse_reading(monkeypatch):
    def fail(*args):
        raise AssertionError("the file is read")

    monkeypatch.setattr(module.hashlib, "file_digest", fail)


def test_a_large_file_is_read_once(file, monkeypatch):
    assert digests([file]) == [sha256(b"weights")]
    refuse_reading(monkeypatch)
    assert digests([file]) == [sha256(b"weights")]


def test_a_small_file_is_read_each_time(file, monkeypatch):
    monkeypatch.setattr(module, "LARGE", 100)
    digests([file])
    refuse_reading(monkeypatch)
    with pytest.raises(AssertionError, match="the file is read"):
        digests([file])


def test_a_file_that_was_just_written_is_not_remembered(file, monkeypatch):
    monkeypatch.setattr(module, "SETTLED", 60)
    digests([file])
    refuse_reading(monkeypatch)
    with pytest.raises(AssertionError, match="the file is read"):
        digests([file])


def test_other_content_of_the_same_size_and_time_counts(file):
    digests([file])
    before = file.stat()
    file.write_bytes(b"changed")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests([file]) == [sha256(b"changed")]


def test_a_replaced_file_counts(file):
    digests([file])
    other = file.with_name("other")
    other.write_bytes(b"changed")
    other.replace(file)
    assert digests([file]) == [sha256(b"changed")]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "{"])
def test_a_damaged_memory_is_as_good_as_none(file, tmp_path, text):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_text(text)
    assert digests([file]) == [sha256(b"weights")]


def test_files_that_are_gone_are_forgotten(file, tmp_path):
    other = file.with_name("other.safetensors")
    other.write_bytes(b"others")
    time.sleep(0.05)
    assert digests([file, other]) == [sha256(b"weights"), sha256(b"others")]
    other.unlink()
    file.write_bytes(b"changed")
    time.sleep(0.05)
    digests([file])
    assert "other.safetensors" not in (tmp_path / "cache" / "digests.json").read_text()
