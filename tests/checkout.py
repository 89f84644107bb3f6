"""What the checkout consists of, for tests that hold all of it to one rule."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core" / "src" / "ft"


@dataclass(frozen=True)
class Distribution:
    """One plugin distribution: a folder with a pyproject."""

    folder: Path

    @property
    def kind(self) -> str:
        return self.folder.parent.name

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def module(self) -> str:
        return f"ft_{self.kind}_{self.name}".replace("-", "_")

    @property
    def package(self) -> Path:
        return self.folder / "src" / self.module

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        return tomllib.loads((self.folder / "pyproject.toml").read_text(encoding="utf-8"))

    @property
    def entry_points(self) -> dict[str, dict[str, str]]:
        return self.pyproject["project"]["entry-points"]

    @property
    def sources(self) -> list[Path]:
        return sorted((self.folder / "src").rglob("*.py"))

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


def distributions() -> list[Distribution]:
    """The distributions of ``plugins/``."""
    found = (ROOT / "plugins").glob("*/*")
    return [Distribution(path) for path in sorted(found) if (path / "pyproject.toml").is_file()]


def tracked_files() -> list[Path]:
    """The files that git knows or would take in, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    paths = (ROOT / name.decode() for name in listed.split(b"\0") if name)
    return sorted(path for path in paths if path.is_file())


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each module that the code below ``tree`` imports, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""


def runs_on_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, ``TYPE_CHECKING`` blocks left out."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        nested = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        handlers = [s for h in getattr(node, "handlers", ()) for s in h.body]
        if nested or handlers:
            waiting += [*nested, *handlers]
        else:
            yield node
