"""``ft.api.hookspecs`` is the manual: complete, typed, and true of core's own calls."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

import pytest
from checkout import CORE, distributions

from ft.api import hookspecs
from ft.kinds import KINDS

HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("ft_")}
every = pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
# "(adapter; first result)", "(all)", "(trainer; all, merged)", "(source; addressed by …)"
RESULT = re.compile(r"\((?:([a-z]+); )?(first result|all|addressed)\b[^)]*\)")


@every
def test_a_hook_is_typed(hook: Callable) -> None:
    signature = inspect.signature(hook)
    parameters = [p for p in signature.parameters.values() if p.annotation is p.empty]
    assert parameters == []
    assert signature.return_annotation is not signature.empty


@every
def test_a_hook_says_when_it_fires_and_which_results_count(hook: Callable) -> None:
    text = inspect.getdoc(hook) or ""
    assert text
    first = " ".join(text.split("\n\n")[0].split())
    found = RESULT.search(first)
    assert found, "its first paragraph says which results count"
    who, rule = found.groups()
    assert who is None or who in KINDS
    options = hook.ft_spec  # type: ignore[attr-defined]
    if rule != "addressed":
        assert options["firstresult"] == (rule == "first result")


def used_in_core() -> dict[str, str]:
    """The hooks that core calls, with one place of each."""
    found: dict[str, str] = {}
    for file in sorted(CORE.rglob("*.py")):
        if file.name == "hookspecs.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = None
            if isinstance(node, ast.Attribute):
                name = node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
            if name and re.fullmatch(r"ft_[a-z_]+", name):
                found[name] = f"{file}:{node.lineno}"
    return found


def test_what_core_calls_is_a_hook() -> None:
    markers = {"ft_impl", "ft_spec"}
    unknown = {n: p for n, p in used_in_core().items() if n not in HOOKS and n not in markers}
    assert unknown == {}


def test_every_hook_is_called_by_core() -> None:
    assert HOOKS.keys() - used_in_core().keys() == set()


def test_what_plugins_implement_is_a_hook_with_its_arguments() -> None:
    for distribution in distributions():
        for file in distribution.sources:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.FunctionDef) or not node.name.startswith("ft_"):
                    continue
                place = f"{file}:{node.lineno}: {node.name}"
                assert node.name in HOOKS, place
                taken = {argument.arg for argument in node.args.args} - {"self"}
                assert taken <= inspect.signature(HOOKS[node.name]).parameters.keys(), place
