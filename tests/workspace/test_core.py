"""Core knows kinds and no names, asks no plugin who it is, and stays small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import CORE, distributions

from ft.kinds import KINDS

CORE_FILES = sorted(CORE.rglob("*.py"))
files = pytest.mark.parametrize("file", CORE_FILES, ids=lambda f: str(f.relative_to(CORE)))

VENDORS = {
    *("alibaba", "anthropic", "apple", "cohere", "deepseek", "google", "ibm", "huggingface"),
    *("hugging face", "microsoft", "mistral", "moonshot", "nvidia", "openai", "zhipu"),
    *("gemma", "gpt", "llama", "phi", "qwen", "smollm"),
    *("axolotl", "deepspeed", "megatron", "trl", "unsloth", "vllm"),
}
WORDS = {
    "auto": "the value of an option that lets ft choose, and transformers' Auto classes",
    "full": "English",
    "freeze": "English",
    "text": "English",
    "messages": "English",
    "embedding": "a layer of a model",
}
"""Names of plugins that are words as well, with what core means by them."""
SCALING = dict.fromkeys(("llama", "llama3"), "transformers' name of a way to scale positions")
ALLOWED = {
    "api/model.py": SCALING,
    "pipeline/positions.py": SCALING,
    "api/rows.py": {
        "openai": "the name of a notation of turns",
        "gpt": "a role in ShareGPT's notation of turns",
    },
    "cli/env.py": dict.fromkeys(
        ("peft", "bitsandbytes", "trl", "deepspeed", "vllm", "nvidia", "huggingface", "apple"),
        "a bug report lists the versions of libraries and drivers",
    ),
    "cli/plugins.py": {"lora": "an example in a hint"},
    "conformance/launched.py": {"sgd": "the name of torch's own class"},
    "conformance/matrix.py": {"peft": "a library whose version is kept with results"},
    "conformance/reference/optimizer.py": {"adamw": "the name of torch's own class"},
    "plugins/policy_file.py": {"lora": "an example in a hint"},
    "recipe/read.py": {"lora": "an example in a hint"},
    "recipe/starter.py": {
        "lora": "the name of a starter recipe, which is data",
        "sft": "the name of a starter recipe, which is data",
    },
}
"""Where core's code names one all the same, and why. Docstrings may give examples."""
LONGEST = 400
LONGER = {
    "api/hookspecs.py": "one manual, read from top to bottom",
    "api/run.py": "the one object that every hook gets",
}


def names() -> set[str]:
    """The names of all plugins of the kinds that stand for models and methods."""
    kinds = ("model", "template", "adapter", "quantizer", "optimizer", "trainer")
    return {
        name
        for distribution in distributions()
        for kind in kinds
        for name in distribution.entry_points.get(f"ft.{kind}", ())
        if name not in KINDS  # a trainer of reward models, say
    }


def words_of_code(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Identifiers and string values, docstrings left out."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield line, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                yield line, text
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text) | ast.alias(name=text):
                yield line, text


@files
def test_core_names_no_model_method_or_vendor(file: Path) -> None:
    allowed = WORDS.keys() | ALLOWED.get(str(file.relative_to(CORE)), {}).keys()
    wanted = sorted((names() | VENDORS) - allowed, key=len, reverse=True)
    pattern = re.compile(rf"(?<![a-z])({'|'.join(map(re.escape, wanted))})(?![a-z])", re.I)
    found = [
        f"{file}:{line}: {match[0]}"
        for line, text in words_of_code(ast.parse(file.read_text(encoding="utf-8")))
        if (match := pattern.search(text))
    ]
    assert found == []


@files
def test_the_allowances_are_used(file: Path) -> None:
    """One that nothing needs any more goes."""
    allowed = ALLOWED.get(str(file.relative_to(CORE)), {})
    text = " ".join(t for _, t in words_of_code(ast.parse(file.read_text(encoding="utf-8"))))
    assert [word for word in allowed if word not in text.lower()] == []


@files
def test_core_asks_nobody_who_he_is(file: Path) -> None:
    """No branch on a model type, a stage, or a plugin's name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        literal = any(isinstance(side, (ast.Constant, ast.Tuple, ast.List)) for side in sides)
        asked = {getattr(side, "attr", getattr(side, "id", "")) for side in sides} & {
            "model_type",
            "stage",
            "finetuning_type",
            "method",
            "vendor",
        }
        assert not (asked and literal), f"{file}:{node.lineno}: {ast.unparse(node)}"


@files
def test_files_stay_small(file: Path) -> None:
    if str(file.relative_to(CORE)) not in LONGER:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST


@files
def test_modules_and_public_names_have_docstrings(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), file
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
            assert ast.get_docstring(node), f"{file}:{node.lineno}: {node.name}"
