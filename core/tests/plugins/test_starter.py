"""Starter projects: whole, clean, and working before anything is changed."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml
from checkout import ROOT, imports, runs_on_import

from ft.api import Conversation, Message, RowError, ToolCall
from ft.plugins import starter

KINDS = ("model", "template", "dataset", "adapter", "quantizer", "optimizer", "trainer")
SEVEN = pytest.mark.parametrize("kind", KINDS)
EVERY = pytest.mark.parametrize(
    ("kind", "model_type"), [*((kind, None) for kind in KINDS), ("model", "llama")]
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``package("adapter")`` is the import package of a new adapter."""

    def make(kind: str, **options) -> ModuleType:
        project = starter.render_starter(kind, "made-new", **options)
        folder = tmp_path / f"ft-{kind}"
        starter.write_starter(project, folder)
        monkeypatch.syspath_prepend(folder / "src")
        return importlib.import_module(f"ft_{kind}_made_new")

    yield make
    for name in [name for name in sys.modules if "_made_new" in name]:
        del sys.modules[name]


# -- the files -----------------------------------------------------------------------------------


def test_there_is_one_for_each_of_the_seven_kinds() -> None:
    assert starter.starter_kinds() == list(KINDS)


@EVERY
def test_a_project_is_whole(kind: str, model_type: str | None) -> None:
    project = starter.render_starter(kind, "x1", model_type=model_type)
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"}
    wanted |= {"tests/test_conformance.py", f"src/ft_{kind}_x1/__init__.py"}
    wanted |= {".github/workflows/ci.yml", ".github/workflows/publish.yml"}
    assert wanted <= project.keys()
    assert project["LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f'conformance("ft-{kind}-x1")' in project["tests/test_conformance.py"]
    for path, text in project.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not {"[[", "[%", "[#"} & {text[i : i + 2] for i in range(len(text))}, path
    ci, publish = (
        yaml.safe_load(project[f".github/workflows/{workflow}.yml"])["jobs"]
        for workflow in ("ci", "publish")
    )
    assert f"ft plugins test --dist ft-{kind}-x1" in commands_of(ci["test"])
    # nothing is uploaded that was not checked, and no token is needed for it
    assert "ft plugins publish --check" in commands_of(publish["build"])
    assert publish["publish"]["needs"] == "build"
    assert publish["publish"]["permissions"] == {"id-token": "write"}
    assert commands_of(publish["publish"]) == ["uv publish"]
    assert "secrets." not in project[".github/workflows/publish.yml"]


def schema_of_workflows() -> dict[str, Any]:
    """The JSON schema of GitHub's workflows, as it is published."""
    file = files("check_jsonschema") / "builtin_schemas" / "vendor" / "github-workflows.json"
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["ci", "publish"])
def test_workflows_are_of_the_published_schema(name: str) -> None:
    project = starter.render_starter("adapter", "x1")
    # a text each, since YAML 1.1 takes the key "on" for true
    workflow = yaml.load(project[f".github/workflows/{name}.yml"], Loader=yaml.BaseLoader)
    jsonschema.validate(workflow, schema_of_workflows())
    job = next(iter(workflow["jobs"].values()))
    for wrong in ({"runs-on": []}, {"steps": [{"runs": "pytest"}]}, {"permission": {}}):
        changed = {**workflow, "jobs": {"build": {**job, **wrong}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, schema_of_workflows())


def commands_of(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


@EVERY
def test_its_pyproject_has_the_form_of_all_others(kind: str, model_type: str | None) -> None:
    text = starter.render_starter(kind, "x1", model_type=model_type)["pyproject.toml"]
    made = tomllib.loads(text)
    ours = tomllib.loads((ROOT / "plugins/trainer/sft/pyproject.toml").read_text(encoding="utf-8"))
    assert made["build-system"] == ours["build-system"]
    for key in ("version", "license", "requires-python", "dependencies"):
        assert made["project"][key] == ours["project"][key], key
    assert 10 < len(made["project"]["description"]) <= 90
    assert made["project"]["entry-points"][f"ft.{kind}"].keys() == {"x1"}
    assert "authors" not in made["project"]


def test_it_asks_for_the_core_that_it_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter.ft, "__version__", "2.3.1")
    text = starter.render_starter("adapter", "x1")["pyproject.toml"]
    assert tomllib.loads(text)["project"]["dependencies"] == ["ft-core>=2.3,<3"]


def test_authors_are_quoted() -> None:
    authors = ["", "<who@example.org>", 'Ada "A" Böhm <ada@example.org>', "O'Neil\\"]
    project = starter.render_starter("model", "x1", authors=authors)
    assert tomllib.loads(project["pyproject.toml"])["project"]["authors"] == [
        {"email": "who@example.org"},
        {"name": "Ada A Böhm", "email": "ada@example.org"},
        {"name": "O'Neil\\"},
    ]
    assert 'vendor="Ada A Böhm"' in project["src/ft_model_x1/__init__.py"]


@EVERY
@pytest.mark.parametrize("name", ["x", "a-name-of-some-length", "4bit"])
def test_its_code_is_clean(tmp_path: Path, kind: str, model_type: str | None, name: str) -> None:
    starter.write_starter(starter.render_starter(kind, name, model_type=model_type), tmp_path)
    for check in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *check, "--no-cache", "--quiet", "--config"]
        done = subprocess.run(
            [*ruff, ROOT / "pyproject.toml", tmp_path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for file in tmp_path.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for _, module in imports(tree):
            assert not module.startswith("ft.") or module.split(".")[1] in ("api", "conformance")
        if file.name == "__init__.py":
            on_import = {n for node in runs_on_import(tree) for _, n in imports(node)}
            assert {n.partition(".")[0] for n in on_import} <= {*sys.stdlib_module_names, "ft"}


# -- what they do --------------------------------------------------------------------------------


def test_a_run_of_nothing_else_trains_and_comes_back(package, tmp_path: Path) -> None:
    """Model, adapter, quantizer, optimizer and trainer, all as they come."""
    import torch
    from harness import changed, logits, random_rows, save, tiny_run, train, weights

    model, optimizer = package("model"), package("optimizer").optimizer
    config = model.family.tiny_config("made-new")
    config.initializer_range = 0.2
    torch.manual_seed(0)
    modeling = importlib.import_module("ft_model_made_new.modeling")
    modeling.MadeNewForCausalLM(config).save_pretrained(tmp_path / "model")
    adapter = package("adapter").adapter.bind("made-new")
    quantizer = package("quantizer").quantizer.bind("made-new")
    trainer = package("trainer").trainer.bind("made-new", {"batch_size": 4, "epochs": 6})
    parts = [trainer, optimizer.bind("made-new", {"learning_rate": 1e-2}), adapter, quantizer]
    run = tiny_run(tmp_path, parts, family=model.family, model_type="made-new", rows=random_rows(4))
    before, base = weights(run), logits(run.load_base())
    assert logits(run.model).equal(base)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert changed(run, before) == run.trained_names
    trained = logits(run.model)
    with run.use_adapter(None):
        assert logits(run.model).equal(base)
    with run.initial_weights():
        assert logits(run.model).equal(base)
    folder = save(run)
    assert logits(run.load_result()).equal(trained)
    run.add_adapter("other", folder)
    run.add_adapter("fresh")
    with run.use_adapter("fresh"):
        assert logits(run.model).equal(base)
    with run.use_adapter("other"):
        assert logits(run.model).equal(trained)

    run.selection.leave_out(quantizer)
    result = run.load_result()
    unmerged = logits(result)
    torch.testing.assert_close(logits(run.merge(result)), unmerged, rtol=1e-4, atol=1e-4)
    assert set(result.state_dict()) == set(run.load_base().state_dict())


def test_the_models_documents_do_not_see_each_other(package) -> None:
    """Packed, or padded on either side, a text has the logits that it has alone."""
    import torch

    config = package("model").family.tiny_config("made-new")
    modeling = importlib.import_module("ft_model_made_new.modeling")
    torch.manual_seed(0)
    model = modeling.MadeNewForCausalLM(config).eval()
    one, other = torch.randint(512, (1, 20)), torch.randint(512, (1, 3))
    alone = [model(input_ids=ids).logits for ids in (one, other)]
    positions = torch.cat([torch.arange(20), torch.arange(3)])[None]
    together = model(input_ids=torch.cat([one, other], 1), position_ids=positions).logits
    torch.testing.assert_close(together, torch.cat(alone, 1))
    padding = torch.zeros(1, 4, dtype=torch.long)
    for order in (1, -1):
        ids, mask = ([other, padding][::order], [torch.ones_like(other), padding][::order])
        padded = model(input_ids=torch.cat(ids, 1), attention_mask=torch.cat(mask, 1)).logits
        torch.testing.assert_close(padded[:, :3] if order == 1 else padded[:, 4:], alone[1])


def test_the_template_reads_back_what_it_writes(package) -> None:
    from ft.data.render import render

    template = package("template").template.bind("made-new")
    call = ToolCall("add", {"of": ["}</tool_call>", "ü"], "n": 1})
    for answer in (
        Message("assistant", "Three.\n"),
        Message("assistant", "", tool_calls=[call, call]),
        Message("assistant", "Adding.", tool_calls=[call], reasoning="I add\n\nthem."),
        Message("assistant", "<tool_call>{no call}</tool_call>"),
    ):
        turns = [Message("system", "Be brief."), Message("user", "1 + 2?"), answer]
        tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
        told = Conversation(messages=turns, tools=tools)
        rendered = render(template.jinja, told, generation_prompt=False, variables={})
        ((start, end, _),) = rendered.spans
        written = rendered.text[start:end]
        assert written.endswith(template.stop[0])
        read = template.ft_parse_answer(text=written.removesuffix(template.stop[0]))
        assert (read.content, read.reasoning) == (answer.content, answer.reasoning)
        assert read.tool_calls == answer.tool_calls
        asked = Conversation(messages=turns[:2], tools=tools)
        prompt = render(template.jinja, asked, generation_prompt=True, variables={})
        assert rendered.text.startswith(prompt.text)
        assert prompt.text == rendered.text[:start]


def test_the_data_format_reads_its_example_and_places_errors(package) -> None:
    dataset = package("dataset").dataset.bind("made-new", {"system": "persona"})
    row = {**dataset.example, "persona": "Be kind.", "source": 7}
    aligned = dataset.ft_align_row(row=row)
    assert [message.role for message in aligned.messages] == ["system", "user", "assistant"]
    assert aligned.extra == {"system": "Be brief.", "source": 7}
    assert dataset.bind("made-new").ft_align_row(row=dataset.example) == dataset.aligned
    for wrong, field in (({"answer": ""}, "answer"), ({"question": None}, "question")):
        with pytest.raises(RowError) as caught:
            dataset.ft_align_row(row={**row, **wrong})
        assert caught.value.field == field


def test_the_quantizer_keeps_what_it_is_told_to(package) -> None:
    import torch
    from torch import nn
    from transformers import AutoConfig, AutoModelForCausalLM

    from ft.api import TINY, InputError

    plugin = package("quantizer").quantizer
    config = AutoConfig.for_model("llama", **TINY)
    model = AutoModelForCausalLM.from_config(config)
    plugin.bind("made-new", {"skip": ["o_proj"]}).ft_prepare_model(model=model)
    types = {name: m.weight.dtype for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    wide = {name for name, dtype in types.items() if dtype != torch.int8}
    assert {name.rpartition(".")[2] for name in wide} == {"o_proj", "lm_head"}
    assert len(wide) == 3
    assert not any(parameter.requires_grad for parameter in model.parameters())
    fresh = AutoModelForCausalLM.from_config(config)
    mistaken = plugin.bind("made-new", {"skip": ["nowhere"]})
    with pytest.raises(InputError, match="matches no linear layer"):
        mistaken.ft_prepare_model(model=fresh)
