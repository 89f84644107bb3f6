"""What lies beside the weights of a result."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ft.pipeline.save import save_processor

MARKED = "{% generation %}a{% endgeneration %}"


class Holder:
    def __init__(self, chat_template):
        self.chat_template = chat_template

    def save_pretrained(self, folder):
        self.saved = self.chat_template


@pytest.mark.parametrize(
    ("tokenizer", "processor", "saved"),
    [
        (MARKED, MARKED, "{# #}a{# #}"),
        ({"default": MARKED, "tool_use": "b"}, None, {"default": "{# #}a{# #}", "tool_use": "b"}),
        (None, "p", "p"),
        (None, None, None),
    ],
    ids=["marked", "several by name", "the processor's alone", "none"],
)
def test_the_checkpoints_own_template_is_saved(tmp_path, tokenizer, processor, saved):
    run = SimpleNamespace(
        tokenizer=Holder(tokenizer), processor=Holder(processor), part=lambda kind: None
    )
    save_processor(run, tmp_path)
    assert run.processor.saved == saved
    assert (run.tokenizer.chat_template, run.processor.chat_template) == (tokenizer, processor)
