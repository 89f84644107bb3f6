"""Requirements: the quick judgement agrees with packaging's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from ft.plugins.requirement import parse, satisfies, unmet

release = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
    lambda parts: ".".join(map(str, parts))
)
clause = st.tuples(st.sampled_from([">=", "<=", "<", ">", "==", "!="]), release).map("".join)


@given(
    version=st.tuples(release, st.sampled_from(["", "+cpu"])).map("".join),
    specifier=st.lists(clause, min_size=1, max_size=3).map(", ".join),
)
def test_plain_ranges_agree_with_packaging(version: str, specifier: str) -> None:
    assert satisfies(version, specifier) == SpecifierSet(specifier).contains(version)


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("0.2.0.dev1", ">=0.1,<1", True),
        ("1.0.0rc1", ">=0.1,<1", False),
        ("1.4.2", "~=1.4", True),
        ("2.0", "==1.*", False),
        ("not a version", ">=1", True),
    ],
)
def test_what_is_not_plain_goes_to_packaging(version: str, specifier: str, expected: bool) -> None:
    assert satisfies(version, specifier) is expected


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("peft", ("peft", "")),
        ("Foo_Bar.baz (>=1)", ("foo-bar-baz", ">=1")),
        ("peft>=0.17, <1", ("peft", ">=0.17, <1")),
        ("peft[all]>=1", ("peft", ">=1")),
        ("peft [all, more-2]", ("peft", "")),
        ("tomli; python_version < '3.11'", None),
        ("numpy; python_version >= '3.11'", ("numpy", "")),
        ("pytest; extra == 'test'", None),
        ("pytest; extra == 'test' or python_version >= '3'", ("pytest", "")),
        ("thing @ https://example.com/thing.whl", ("thing", "")),
    ],
)
def test_parse(requirement: str, expected: tuple[str, str] | None) -> None:
    assert parse(requirement) == expected


def test_no_requirement_at_all() -> None:
    with pytest.raises(ValueError):
        parse("peft >>= what")


def test_unmet_says_what_is_there() -> None:
    assert unmet("peft>=1", {}) == "needs peft>=1, which is not installed"
    assert unmet("peft>=1", {"peft": "0.9"}) == "needs peft>=1, and 0.9 is installed"
    assert unmet("peft>=1", {"peft": "1.0"}) == ""
    assert unmet("peft>=1", {"peft": ""}) == ""
