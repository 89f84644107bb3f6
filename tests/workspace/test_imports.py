"""Who imports whom: plugins import ``ft.api`` alone of core, and nothing heavy on import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import CORE, ROOT, Distribution, distributions, imports, runs_on_import

HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "numpy",
    "PIL",
    "bitsandbytes",
    "datasets",
    "huggingface_hub",
    "accelerate",
    "pyarrow",
    "tensorboard",
    "gguf",
}
MODELLING = {
    "api/packed.py": "subclasses what is heavy",
    "api/per_parameter.py": "subclasses what is heavy",
    "conformance/preload.py": "imported to have imported it",
    "conformance/reference/int8.py": "subclasses what is heavy",
    "conformance/reference/media.py": "subclasses what is heavy",
    "conformance/reference/modeling.py": "subclasses what is heavy",
    "plan/attention.py": "subclasses what is heavy",
    "plan/choose.py": "ft plan alone imports it, when it is invoked",
    "plan/memory.py": "as plan/choose.py",
    "plan/shapes.py": "subclasses what is heavy",
    "plan/time.py": "as plan/choose.py",
    "plan/trace.py": "as plan/choose.py",
    "plan/tracker.py": "subclasses what is heavy",
    "plan/update.py": "as plan/choose.py",
}
"""Modules of core that only functions import, and why they import heavy libraries."""
BUDGET = 50
"""Milliseconds of CPU time that a plugin's import may add to that of ``ft.api``; most take two."""

every = pytest.mark.parametrize("distribution", distributions(), ids=str)
CORE_FILES = sorted(CORE.rglob("*.py"))

LAYERS = {
    "errors": set(),
    "kinds": set(),
    "api": {"errors", "kinds"},
    "plugins": {"api", "errors", "kinds", "registry.model"},
    "data": {"api", "errors", "kinds", "recipe.resolved"},
    "recipe": {"api", "errors", "kinds", "plugins", "data"},
    "training": {"api", "errors", "kinds", "data"},
    "environment": {"errors", "plugins", "registry"},
}
"""What each package of core may import when it is imported; the rest may import all."""


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def on_import(file: Path) -> list[str]:
    """The modules that a file imports while it is imported itself."""
    return [name for node in runs_on_import(parsed(file)) for _, name in imports(node)]


@every
def test_a_plugin_imports_only_the_contract(distribution: Distribution) -> None:
    for file in distribution.sources:
        for line, name in imports(parsed(file)):
            if name == "ft" or name.startswith("ft."):
                assert name == "ft.api" or name.startswith("ft.api."), f"{file}:{line}: {name}"


@every
def test_a_plugin_requires_the_plugins_that_it_imports(distribution: Distribution) -> None:
    required = " ".join(distribution.pyproject["project"]["dependencies"])
    for file in distribution.sources:
        for line, name in imports(parsed(file)):
            top = name.partition(".")[0]
            if top.startswith("ft_") and top != distribution.module:
                assert f"{top.replace('_', '-')}>=" in required, f"{file}:{line}: {name}"


@every
def test_a_plugin_imports_nothing_heavy_at_module_level(distribution: Distribution) -> None:
    """A module of its own that only functions import may: it subclasses what is heavy."""
    found: set[str] = set()
    waiting = {distribution.module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        file = distribution.folder.joinpath("src", *name.split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        if file.is_file():
            waiting |= set(on_import(file)) - found
    assert {name.partition(".")[0] for name in found} & HEAVY == set()


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda f: str(f.relative_to(CORE)))
def test_core_imports_nothing_heavy_at_module_level(file: Path) -> None:
    """Not torch and its like anywhere; numpy only in modules that a run alone needs."""
    if str(file.relative_to(CORE)) in MODELLING:
        return
    found = {n.partition(".")[0] for n in on_import(file)} & HEAVY
    if file.relative_to(CORE).parts[0] in ("data", "training", "pipeline"):
        found -= {"numpy", "pyarrow"}
    assert found == set()


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda f: str(f.relative_to(CORE)))
def test_only_functions_import_what_is_heavy_in_core(file: Path) -> None:
    heavy = {f"ft.{name.removesuffix('.py').replace('/', '.')}" for name in MODELLING}
    if str(file.relative_to(CORE)) not in MODELLING:
        assert heavy & {*on_import(file)} == set()


@pytest.mark.parametrize("file", CORE_FILES, ids=lambda f: str(f.relative_to(CORE)))
def test_core_keeps_to_its_layers(file: Path) -> None:
    package = file.relative_to(CORE).parts[0].removesuffix(".py")
    allowed = LAYERS.get(package)
    if allowed is None:
        return
    for name in on_import(file):
        if name.startswith("ft."):
            inner = name.removeprefix("ft.")
            first = inner.partition(".")[0]
            assert first == package or first in allowed or inner in allowed, name


PROBE = """
import importlib, json, sys, time
heavy = set(sys.argv[1].split(","))
import ft.api, packaging.requirements, packaging.utils, platformdirs  # as core has them
report = {"ft.api": {"ms": 0, "heavy": sorted(heavy & sys.modules.keys())}}
for module in sys.argv[2:]:
    before = time.process_time()
    importlib.import_module(module)
    ms = (time.process_time() - before) * 1000
    report[module] = {"ms": ms, "heavy": sorted(heavy & sys.modules.keys())}
print(json.dumps(report))
"""


def probe() -> dict[str, dict]:
    """Import all plugins one after another in a fresh process, from the checkout's sources."""
    found = distributions()
    path = [str(distribution.folder / "src") for distribution in found]
    code = f"import sys; sys.path[:0] = {path!r}\n{PROBE}"
    modules = [distribution.module for distribution in found]
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(sorted(HEAVY)), *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", [["--help"], ["plugins", "list"], ["plugins", "search", "x"]])
def test_help_and_listing_import_nothing_heavy_and_no_plugin(command: list[str]) -> None:
    code = (
        "import sys; from ft.cli import main; code = main(sys.argv[1:]); "
        "print(*sys.modules, sep='\\n', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    tops = {name.partition(".")[0] for name in done.stderr.split()}
    assert tops & (HEAVY | {distribution.module for distribution in distributions()}) == set()


def test_importing_all_plugins_loads_nothing_heavy_and_takes_no_time() -> None:
    report = probe()
    for module, found in report.items():
        assert found["heavy"] == [], f"{module} pulls in {found['heavy']}"
    slow = {module for module, found in report.items() if found["ms"] > BUDGET}
    for _ in range(3):  # a busy machine is no fault of a plugin
        if not slow:
            return
        again = probe()
        slow = {module for module in slow if again[module]["ms"] > BUDGET}
    assert slow == set()
