"""Every plugin is a distribution of the same form; only what must differ does."""

from __future__ import annotations

import functools
import importlib
import re
import tomllib
from typing import Any

import pytest
from checkout import ROOT, Distribution, distributions

from ft.kinds import KINDS
from ft.plugins.index import Index, Record
from ft.plugins.load import base_class
from ft.plugins.requirement import Requirement  # noqa: F401

every = pytest.mark.parametrize("distribution", distributions(), ids=str)

# of [project]; the rest is the same in all
OWN = {"name", "description", "dependencies", "entry-points", "optional-dependencies"}
COMMON = {
    "project": {"version": "0.1.0", "license": "Apache-2.0", "requires-python": ">=3.11"},
    "build-system": {"requires": ["uv_build>=0.9,<0.14"], "build-backend": "uv_build"},
}
MATCH_GROUPS = {"model_type": "model", "checkpoint": "model", "columns": "dataset", "scheme": "source"}


def test_there_are_plugins() -> None:
    assert len(distributions()) >= 30


@every
def test_pyproject_differs_only_in_what_must(distribution: Distribution) -> None:
    data = distribution.pyproject
    assert {
        "project": {key: value for key, value in data["project"].items() if key not in OWN},
        **{key: value for key, value in data.items() if key != "project"},
    } == COMMON
