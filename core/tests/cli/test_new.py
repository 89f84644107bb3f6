"""``ft plugins new``: what it writes, says and refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest


def test_it_writes_a_project_and_says_what_to_type_next(ft) -> None:
    done = ft("plugins", "new", "adapter", "my-way", "--author", "Ada <ada@example.org>")
    assert done.code == 0, done.err
    project = tomllib.loads(Path("ft-adapter-my-way/pyproject.toml").read_text())["project"]
    assert project["name"] == "ft-adapter-my-way"
    assert project["authors"] == [{"name": "Ada", "email": "ada@example.org"}]
    assert "cd ft-adapter-my-way\n" in done.out
    assert "ft plugins test adapter:my-way" in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_folder_can_be_named(ft, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    assert ft("plugins", "new", "dataset", "rows", "--output", str(folder)).code == 0
    assert (folder / "src/ft_dataset_rows/__init__.py").is_file()
    (empty := tmp_path / "empty").mkdir()
    assert ft("plugins", "new", "dataset", "rows", "-o", str(empty)).code == 0


def test_a_folder_with_files_is_left_alone(ft) -> None:
    Path("ft-trainer-x").mkdir()
    Path("ft-trainer-x/mine.txt").write_text("mine")
    done = ft("plugins", "new", "trainer", "x")
    assert done.code == 2
    assert "ft-trainer-x exists" in done.err
    assert "--output" in done.err
    assert [file.name for file in Path("ft-trainer-x").iterdir()] == ["mine.txt"]


def test_a_family_of_a_known_model_type_is_data_alone(ft) -> None:
    done = ft("plugins", "new", "model", "thing", "--model-type", "thing_moe")
    assert done.code == 0, done.err
    package = Path("ft-model-thing/src/ft_model_thing")
    assert sorted(file.name for file in package.iterdir()) == ["__init__.py", "chat.jinja"]
    points = tomllib.loads(Path("ft-model-thing/pyproject.toml").read_text())["project"]
    assert points["entry-points"]["ft.match.model_type"] == {"thing_moe": "ft_model_thing:family"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["kernel", "fast"], "model, template, dataset, adapter, quantizer, optimizer, trainer"),
        (["adaptor", "mine"], "did you mean adapter?"),
        (["adapter", "My_Way"], "call it my-way"),
        (["adapter", "…"], "such as my-method"),
        (["adapter", "ft-adapter-mine"], "give the name alone: mine"),
        (["adapter", "mine", "--model-type", "thing"], "--model-type is for models"),
        (["model", "mine", "--model-type", "a b"], "config.json"),
    ],
)
def test_what_it_refuses(ft, arguments: list[str], said: str) -> None:
    done = ft("plugins", "new", *arguments)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert list(Path().iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error(ft) -> None:
    Path("file").write_text("")
    done = ft("plugins", "new", "adapter", "mine", "--output", "file/inside")
    assert done.code == 2
    assert "file/inside" in done.err


def test_listing_does_not_pay_for_it(python) -> None:
    code = "import sys, ft.cli.plugins; print({'jinja2', 'ft.plugins.starter'} & {*sys.modules})"
    assert python(code).strip() == "set()"
