"""Counts of conversations that a format writes as the published one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ft.api import Template
from ft.conformance.equality import cases, equality, format_of

MARKED = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    monkeypatch.setenv("FT_PUBLISHED", str(tmp_path))
    (tmp_path / "org--net.jinja").write_text(PLAIN, encoding="utf-8")
    return Template(MARKED, stop=("<|end|>",), published=("org/net",))


def test_an_equal_format_has_no_difference(template):
    (found,) = equality(template)
    assert found.exact == found.total > 50


def test_an_answer_is_compared_as_it_is_trained_and_all_else_as_a_prompt(template):
    found = list(cases(template, "org/net"))
    for case in found:
        assert case.prompt == (case.conversation.messages[-1].role != "assistant")
        assert case.prompt == case.text.endswith("<|assistant|>")
    assert {case.prompt for case in found} == {True, False}


def test_a_difference_counts_where_it_shows(template, tmp_path):
    other = PLAIN.replace("<|assistant|>{% endif %}", "<|assistant|>\n{% endif %}")
    (tmp_path / "org--net.jinja").write_text(other, encoding="utf-8")
    (found,) = equality(template)
    prompts = sum(case.prompt for case in cases(template, "org/net"))
    assert 0 < found.exact == found.total - prompts


def test_what_the_published_one_refuses_does_not_count(template, tmp_path):
    (all_of_them,) = equality(template)
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + PLAIN
    (tmp_path / "org--net.jinja").write_text(strict, encoding="utf-8")
    (found,) = equality(template)
    assert 0 < found.exact == found.total < all_of_them.total


def test_what_the_format_has_no_place_for_does_not_count(template):
    class Calling(Template):
        provides = Template.provides | {"tools", "reasoning"}

    (plain,) = equality(template)
    (more,) = equality(Calling(MARKED, stop=("<|end|>",), published=("org/net",)))
    assert more.total > plain.total


def test_a_format_that_holds_to_its_prompts_is_compared_in_them(template):
    prompts = Template(MARKED, ("<|end|>",), ("org/net",), exact="prompts")
    assert all(case.prompt for case in cases(prompts, "org/net"))


def test_the_format_of_a_checkpoint_is_the_first_that_writes_it_exactly(template, tmp_path):
    other = PLAIN.replace("<|end|>", "<|done|>")
    (tmp_path / "org--more.jinja").write_text(other, encoding="utf-8")
    ends = Template(MARKED.replace("<|end|>", "<|done|>"), stop=("<|done|>",))
    formats = {"net": template, "ends": ends}
    assert format_of("org/net", formats) == "net"
    assert format_of("org/more", formats) == "ends"
    assert format_of("org/more", {"net": template}) is None
