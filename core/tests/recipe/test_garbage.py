"""Whatever a file holds, reading it ends in a recipe or in an InputError."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ft.errors import InputError
from ft.recipe.keys import TOP_KEYS
from ft.recipe.read import Recipe, read_recipe

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
keys = st.sampled_from(
    [*TOP_KEYS, "name", "path", "source", "format", "rows", "weight"]
) | scalars.filter(lambda key: not isinstance(key, float))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
overrides = st.lists(
    st.builds(
        lambda path, text: f"{'.'.join(path)}={text}",
        st.lists(st.sampled_from([*TOP_KEYS, "0", "1", "name", "rank"]), max_size=4),
        st.text(max_size=8),
    ),
    max_size=2,
)


def read(content: bytes, changes: list[str] | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            assert isinstance(read_recipe(path, changes or ()), Recipe)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, values, max_size=6), overrides)
def test_structures(document, changes):
    read(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace"), changes)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@`\\U0xF \n\t,?~.", max_size=40))
def test_text(text):
    read(text.encode())


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
def test_bytes(content):
    read(content)
