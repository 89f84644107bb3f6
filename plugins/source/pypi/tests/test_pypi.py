import base64
import hashlib
import importlib.util
import json
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ft.api import InputError, Progress
from ft_source_pypi import source


class Told(Progress):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that the installer takes packages from, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
    return folder


def write_wheel(folder, version, *, wrong_hash=False, files=None):
    files = {
        "mymodel/config.json": json.dumps({"version": version}),
        "mymodel/model.safetensors": "weights",
        "mymodel/__init__.py": "raise SystemError('never imported')",
        **(files or {}),
        f"mymodel-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: mymodel\nVersion: {version}\n"
            "Requires-Dist: a-dependency-that-does-not-exist\n"
        ),
        f"mymodel-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        listed = "A" * 43 if wrong_hash and name.endswith("safetensors") else digest.decode()
        record.append(f"{name},sha256={listed.rstrip('=')},{len(text)}")
    info = f"mymodel-{version}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"mymodel-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
        wheel.writestr(info, "\n".join([*record, f"{info},,"]))


def resolve(text, what="model", progress=None):
    return source.ft_resolve_source(SimpleNamespace(progress=progress or Progress()), text, what)


def test_the_checkpoint_of_a_package(index):
    write_wheel(index, "1.0")
    folder = resolve("mymodel==1.0")
    assert json.loads((folder / "config.json").read_text()) == {"version": "1.0"}


@pytest.mark.parametrize("uv", [False, True], ids=["nothing", "uv"])
def test_without_pip(index, monkeypatch, uv):
    here = shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)
    if uv and not here:
        pytest.skip("uv is not installed")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: here if uv else None)
    write_wheel(index, "1.0")
    if uv:
        assert (resolve("mymodel") / "config.json").exists()
    else:
        with pytest.raises(InputError, match="neither pip nor uv"):
            resolve("mymodel")


def test_fetched_once(index):
    write_wheel(index, "1.0")
    told = Told()
    first = resolve("mymodel", progress=told)
    next(index.iterdir()).unlink()
    assert resolve("MyModel>=1", progress=told) == first
    assert told.lines == ["fetching the package mymodel"]


def test_a_pinned_version_is_not_answered_with_another(index):
    write_wheel(index, "1.0")
    write_wheel(index, "2.0")
    assert "2.0" in str(resolve("mymodel"))
    assert "1.0" in str(resolve("mymodel==1.0"))


def test_a_file_that_its_package_does_not_list_like_that(index, tmp_path):
    write_wheel(index, "1.0", wrong_hash=True)
    with pytest.raises(InputError) as caught:
        resolve("mymodel")
    assert "model.safetensors" in str(caught.value)
    assert not any((tmp_path / "cache").rglob("config.json"))


def test_no_such_package(index):
    with pytest.raises(InputError, match="could not be fetched") as caught:
        resolve("mymodle")
    assert caught.value.where == "pypi:mymodle"


def test_no_name():
    with pytest.raises(InputError, match="names no package"):
        resolve("!!")


def test_an_address_is_no_name():
    with pytest.raises(InputError, match="without an address"):
        resolve("mymodel @ git+https://example.org/mymodel")
