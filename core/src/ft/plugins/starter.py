"""Starter projects of plugins, which ``ft plugins new`` writes.

A project is data: the files of ``starters/common`` and those of a folder for its kind, which
win where both have a file. Their names end in ``.jinja``; ``package/`` stands for the import
package, and ``dot_`` at the start of a name for a dot. Their delimiters are ``[[ ]]``,
``[% %]`` and ``[# #]``, since chat templates and workflows have braces of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import ft
from ft.errors import InputError
from ft.kinds import KINDS

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MODEL_TYPE = re.compile(r"[\w.-]+", re.ASCII)
_SUFFIX = ".jinja"


def starter_kinds() -> list[str]:
    """The kinds that there is a starter project for."""
    folder = files("ft.plugins").joinpath("starters")
    return [kind for kind in KINDS if folder.joinpath(kind).is_dir()]


def render_starter(
    kind: str, name: str, *, authors: Sequence[str] = (), model_type: str | None = None
) -> dict[str, str]:
    """The files of a new plugin project: paths inside it, with ``/``, and their text.

    ``authors`` are names, or ``Name <address>``. ``model_type`` (kind ``model`` only) is that
    of an architecture which transformers builds: the family is data alone then. Raises
    :class:`InputError` for a kind without a starter and a name that no distribution can have.
    """
    from email.utils import parseaddr

    _check(kind, name, model_type)
    words = name.split("-")
    module = "_".join(("ft", kind, *words))
    named = [author.strip() for author in authors if author.strip()]
    people = [parseaddr(author) if "<" in author else (author, "") for author in named]
    values = {
        "kind": kind,
        "name": name,
        "distribution": f"ft-{kind}-{name}",
        "module": module,
        "title": " ".join(word.capitalize() for word in words),
        # a class cannot begin with a digit
        "prefix": "The" * name[0].isdigit() + "".join(word.capitalize() for word in words),
        "model_type": model_type or name,
        "core": _core_range(ft.__version__),
        "authors": [_toml_author(*person) for person in people],
        "vendor": next((person for person, _ in people if person), "independent"),
    }
    folder = f"{kind}-data" if model_type else kind
    return _render(("common", folder), values)


def write_starter(project: Mapping[str, str], folder: Path) -> None:
    """Write a rendered project. Raises :class:`InputError` unless ``folder`` is empty or new."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{folder} exists, and ft plugins new overwrites nothing",
            hint="name another folder: --output FOLDER",
        )
    try:
        for path, text in project.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from None


def _check(kind: str, name: str, model_type: str | None) -> None:
    kinds = starter_kinds()
    if kind not in kinds:
        close = get_close_matches(kind, kinds, 1)
        raise InputError(
            f"there is no starter for a plugin of kind {kind!r}",
            hint=(f"did you mean {close[0]}? " if close else "")
            + f"there is one for {', '.join(kinds)}",
        )
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        raise InputError(
            f"{name!r} is no plugin's name: lower-case letters, digits and single hyphens between",
            hint=f"call it {near}" if near else "call it by what it does, such as my-method",
        )
    if name.startswith("ft-"):
        raise InputError(
            f"the distribution would be called ft-{kind}-{name}",
            hint=f"give the name alone: {name.removeprefix(f'ft-{kind}-').removeprefix('ft-')}",
        )
    if not model_type:
        return
    if not files("ft.plugins").joinpath("starters", f"{kind}-data").is_dir():
        raise InputError(f"--model-type is for models, and this is a plugin of kind {kind}")
    if not _MODEL_TYPE.fullmatch(model_type):
        raise InputError(
            f"{model_type!r} is no model type",
            hint="it is the value of model_type in a checkpoint's config.json",
        )


def _core_range(version: str) -> str:
    """The cores that a plugin made with ``version`` works with: from its minor version on."""
    major, minor = version.split(".")[:2]
    return f">={major}.{minor},<{int(major) + 1}"


def _toml_author(name: str, email: str) -> str:
    fields = {"name": name, "email": email}
    return ", ".join(f"{key} = {_quoted(value)}" for key, value in fields.items() if value)


def _quoted(text: str) -> str:
    """A string as TOML and Python both write it."""
    return json.dumps(text, ensure_ascii=False)


def _render(folders: Sequence[str], values: Mapping[str, Any]) -> dict[str, str]:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ft.plugins", "starters"),
        undefined=jinja2.StrictUndefined,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = _quoted
    names = environment.list_templates()
    chosen: dict[str, str] = {}
    for folder in folders:
        for name in names:
            if name.startswith(f"{folder}/") and name.endswith(_SUFFIX):
                chosen[_target(name.removeprefix(f"{folder}/"), values["module"])] = name
    return {
        path: environment.get_template(name).render(values) for path, name in sorted(chosen.items())
    }


def _target(path: str, module: str) -> str:
    parts = path.removesuffix(_SUFFIX).split("/")
    if parts[0] == "package":
        parts[:1] = ["src", module]
    return "/".join(f".{p.removeprefix('dot_')}" if p.startswith("dot_") else p for p in parts)
