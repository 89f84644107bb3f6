"""Real wheels, real environments and the real uv, small enough to be made for each test."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ft.cli import main
from ft.environment.place import Environment, environment_of

UV = Path(sys.executable).with_name("uv")
SET = """\
summary = "Made for a test"
owner = "a team"
[plugins]
ft-adapter-made = ">=0.1,<1"
"""


def hash_of(text: str) -> str:
    """A file's hash as RECORD writes it."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.decode().rstrip('=')}"


class Desk:
    """A working folder with a folder of wheels, a set of a team's own, and an environment."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.wheel("ft-core", {"made_core/__init__.py": ""})
        self.plugin()
        (folder / "team.toml").write_text(SET)
        (folder / "ft.toml").write_text('[env]\nset = "team.toml"\n')
        self.python = self.environment("venv")

    def wheel(
        self,
        name: str,
        files: Mapping[str, str],
        *,
        version: str = "0.1.0",
        entry_points: str = "",
        requires: str = "",
    ) -> Path:
        """Build a wheel into the folder."""
        stem = f"{name.replace('-', '_')}-{version}"
        headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        info = {
            "METADATA": headers + needs,
            "WHEEL": "Wheel-Version: 1.0\nGenerator: a test\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n",
            "entry_points.txt": entry_points,
        }
        content = {**files, **{f"{stem}.dist-info/{n}": text for n, text in info.items()}}
        record = ""
        for path, text in content.items():
            record += f"{path},{hash_of(text)},{len(text)}\n"
        content[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
        built = self.wheels / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(built, "w") as archive:
            for path, text in content.items():
                archive.writestr(path, text)
        return built

    def plugin(self, text: str = "plugin = 1\n", **more) -> Path:
        """Build the plugin of the set; it needs ``other``."""
        self.wheel("other", {"other.py": "value = 1\n"})
        files = {"made_adapter/__init__.py": text, "made_adapter/part.py": "part = 1\n"}
        points = (
            "[ft.adapter]\nmade = made_adapter:plugin\n[console_scripts]\nmade = made_adapter:go\n"
        )
        files |= more.pop("files", {})
        return self.wheel("ft-adapter-made", files, entry_points=points, requires="other", **more)

    def environment(self, name: str) -> Path:
        """Make an empty environment; its interpreter."""
        subprocess.run(
            [UV, "venv", "--quiet", "--python", sys.executable, self.folder / name], check=True
        )
        return self.folder / name / "bin" / "python"

    def site(self, python: Path | None = None) -> Path:
        """Where an environment has its packages."""
        return self.place(python).sites[0]

    def place(self, python: Path | None = None) -> Environment:
        return environment_of(python or self.python)

    def install(self, *names: str) -> None:
        """Install past every lock."""
        found = ("--no-index", "--find-links", self.wheels, "--python", self.python)
        subprocess.run([UV, "pip", "install", "--quiet", *found, *names], check=True)

    def rewrite(self, name: str, path: str, text: str) -> None:
        """Change a file, and its line in RECORD so that the two agree."""
        (self.site() / path).write_text(text)
        record = self.place().installed[name].info / "RECORD"
        lines = [
            f"{path},{hash_of(text)},{len(text)}" if line.startswith(f"{path},") else line
            for line in record.read_text().splitlines()
        ]
        record.write_text("\n".join(lines) + "\n")

    def remove_hash(self) -> None:
        """Take the hash of the plugin's wheel out of the lock."""
        file = self.folder / "pylock.toml"
        text = re.sub(r"(ft_adapter_made[^{}]*hashes = \{)[^{}]*\}", r"\1}", file.read_text())
        assert text != file.read_text()
        file.write_text(text)

    def lock(self, *options: str) -> int:
        found = ("--find-links", str(self.wheels), "--python", str(self.python))
        return main(["env", "lock", *found, *options])

    def sync(self, *options: str, python: Path | None = None) -> int:
        return main(["env", "sync", "--python", str(python or self.python), *options])

    def verify(self, *options: str, python: Path | None = None) -> int:
        return main(["env", "verify", "--python", str(python or self.python), *options])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk of the test's own, to which no index can be reached."""
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "UV_FIND_LINKS", "FT_POLICY", "FT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_LINK_MODE", "copy")
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Desk(folder)


@pytest.fixture
def synced(desk: Desk) -> Desk:
    """A desk whose environment is as its lock says."""
    assert (desk.lock(), desk.sync()) == (0, 0)
    return desk
