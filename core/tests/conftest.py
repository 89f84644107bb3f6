"""Whole fake distributions on a path, so that nothing of the machine enters a test."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest


class Site:
    """A folder of installed distributions."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir()

    def add(
        self,
        distribution: str,
        entries: Mapping[str, str],
        source: str | None = None,
        *,
        version: str = "0.1.0",
        summary: str = "A plugin made for a test",
        requires: Sequence[str] = ("ft-core>=0.1,<1",),
        headers: str = "",
        match: Mapping[str, str] | None = None,
    ) -> Path:
        """Install a distribution; returns its dist-info folder.

        ``entries`` maps ``kind:name`` to ``module:object``, ``match`` ``group key`` to the
        same, and ``source`` is the text of the first entry's module.
        """
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [f"Metadata-Version: 2.4\nName: {distribution}\nVersion: {version}\n"]
        lines += [f"Summary: {summary}\n", headers]
        lines += [f"Requires-Dist: {requirement}\n" for requirement in requires]
        (info / "METADATA").write_text("".join(lines) + "\nThe description.\n")
        points = ""
        for entry, value in entries.items():
            kind, name = entry.split(":", 1)
            points += f"[ft.{kind}]\n{name} = {value}\n"
        for entry, value in (match or {}).items():
            group, key = entry.split(" ", 1)
            points += f"[ft.match.{group}]\n{key} = {value}\n"
        (info / "entry_points.txt").write_text(points)
        (info / "RECORD").write_text("")
        if source is not None:
            module = next(iter(entries.values())).partition(":")[0]
            (self.path / f"{module}.py").write_text(source)
        return info

    def adapter(self, name: str, source: str | None = None, **options) -> Path:
        """Install ``ft-adapter-<name>``, which works unless ``source`` says otherwise."""
        if source is None:
            source = "from ft.api import Adapter\nplugin = Adapter()\n"
        module = f"made_{name}"  # never that of a plugin which is really installed
        return self.add(
            f"ft-adapter-{name}", {f"adapter:{name}": f"{module}:plugin"}, source, **options
        )

    def registry(self, distribution: str, files: Mapping[str, str]) -> Path:
        """Install a registry that holds ``files``, by path; returns its package's folder."""
        package = distribution.replace("-", "_")
        self.add(distribution, {"registry:made": package}, requires=())
        for name, text in files.items():
            file = self.path / package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return self.path / package


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site on ``sys.path``; cache, policy and working folder are the test's own."""
    site = Site(tmp_path / "site")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(site.path)
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    monkeypatch.delenv("FT_TRACEBACK", raising=False)
    yield site
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(site.path)):
            del sys.modules[name]
