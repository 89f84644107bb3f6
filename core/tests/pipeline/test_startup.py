"""Mistakes that are found before the first step."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from harness import tiny_run
from tiny import write_tiny

from ft.api import (
    Conversation,
    Dataset,
    DatasetOptions,
    Encoded,
    InputError,
    Message,
    Origin,
    Template,
    hookimpl,
)
from ft.data.fit import LONG
from ft.pipeline.load import load_processor
from ft.pipeline.startup import (
    control_tokens,
    look_at_turn_ends,
    look_for_control_tokens,
    refuse_cut,
    stop_ids,
    stretch_ends,
    trained_pieces,
)
from ft.recipe.resolved import DataPart
from ft.training.sample import prompts_of
from ft_adapter_full import adapter as full
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer

START, END = "<|im_start|>", "<|im_end|>"
GOOD = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>{% endif %}\n"
    "{% endfor %}"
)
SHORT = GOOD.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}<|im_end|>")
ENDLESS = GOOD.replace("<|im_end|>{% endgeneration %}", "{% endgeneration %}")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("startup") / "model", "smollm2", "llama")


class Words(Dataset):
    """Rows {n}: an answer of n words."""

    Options = DatasetOptions

    @hookimpl
    def ft_align_row(self, row):
        return talk("Count.", "word " * row["n"])


def make(checkpoint, jinja=GOOD, rows=None, **options):
    plugins = [
        trainer.bind("sft", options),
        optimizer.bind("adamw"),
        full.bind("full"),
        Template(jinja, stop=[END]).bind("chat"),
        Words().bind("words"),
    ]
    run = tiny_run(checkpoint.parent, plugins, rows=rows)
    load_processor(run)
    return run


def talk(*texts):
    roles = ["user", "assistant"] * len(texts)
    messages = [Message(role, text) for role, text in zip(roles, texts, strict=False)]
    return Conversation(messages, origin=Origin("rows.jsonl", 1))


TALKS = [talk("Who are you?", "A model."), talk("One?", "Two.", "Three?", "Four.")]


def encoded(run, examples=TALKS):
    return run.hook.ft_encode(run=run, examples=examples)


def test_a_turn_end_with_a_loss_passes(checkpoint):
    run = make(checkpoint)
    assert run.tokenizer.convert_tokens_to_ids(END) in stop_ids(run)
    look_at_turn_ends(run, TALKS, encoded(run))


@pytest.mark.parametrize(
    ("jinja", "message"),
    [
        (SHORT, r"has no loss in 3 of 3 trained stretches: the model would never learn to stop"),
        (ENDLESS, r"no trained stretch of the first rows holds a token that ends a turn"),
    ],
)
def test_a_turn_end_without_a_loss_is_refused(checkpoint, jinja, message):
    run = make(checkpoint, jinja)
    with pytest.raises(InputError, match=message):
        look_at_turn_ends(run, TALKS, encoded(run))


def test_a_stop_of_several_tokens_is_told(checkpoint):
    run = make(checkpoint, GOOD.replace(END, "[over]"))
    run.part("template").stop = ("[over]",)
    run.tokenizer.chat_template = None
    look_at_turn_ends(run, TALKS, encoded(run))
    assert any("[over], which is several tokens" in line for line in run.progress.lines)


def test_a_template_of_other_tokens_than_the_checkpoints_own_is_refused(checkpoint):
    run = make(checkpoint, GOOD.replace(END, "[over]"))
    run.part("template").stop = ("[over]",)
    assert run.tokenizer.chat_template
    with pytest.raises(InputError, match=r"chat template of its own: they disagree") as caught:
        look_at_turn_ends(run, TALKS, encoded(run))
    assert "new_tokens: {'[over]'" in str(caught.value.hint)


def test_ends_of_stretches():
    row = Encoded([1, 2, 9, 1, 2, 3, 9], [0, 1, 0, 0, 1, 1, 1])
    assert [(e.has_stop, e.stop_follows) for e in stretch_ends(row, {9})] == [
        (False, True),
        (True, False),
    ]
    assert [(e.has_stop, e.stop_follows) for e in stretch_ends(row, {7})] == [(False, False)] * 2


def test_text_that_was_rendered_before(checkpoint):
    run = make(checkpoint)
    assert START in control_tokens(run)
    twice = talk(f"{START}user\nHi{END}", "Hello")
    with pytest.raises(InputError, match="2 of the first 3 rows have control tokens") as error:
        look_for_control_tokens(run, [twice, TALKS[0], twice])
    assert error.value.where == "rows.jsonl row 1"
    look_for_control_tokens(run, [twice, TALKS[0], TALKS[0]])
    (line,) = [line for line in run.progress.lines if "control token" in line]
    assert line.startswith("rows.jsonl row 1: the text holds <|im_")
    before = len(run.progress.lines)
    look_for_control_tokens(run, TALKS)
    assert len(run.progress.lines) == before


def test_rows_that_would_be_cut(checkpoint, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"n": {n}}}\n' for n in range(1, 101)))
    run = make(checkpoint, max_length=64)
    part = DataPart("rows", file, run.part("dataset"), "rows")
    whole = [len(row) for row in encoded(run, [talk("Count.", "word " * n) for n in range(1, 101)])]
    lost = sum(length > 64 for length in whole)

    def report(dropped=0, truncated=0):
        found = SimpleNamespace(chosen=100, dropped=Counter({LONG: dropped}), truncated=truncated)
        run.data = SimpleNamespace(report=found)

    for kind in ({"dropped": lost}, {"truncated": lost}):
        report(**kind)
        with pytest.raises(InputError, match=rf"{lost} of 100 rows \({lost}%\) are longer") as e:
            refuse_cut(run, [part])
        assert f"50% have up to {sorted(whole)[49]} tokens" in e.value.message
        assert f"trainer.max_length: {sorted(whole)[98]} holds 99 %" in e.value.hint
    report(dropped=5)
    refuse_cut(run, [part])
    # what the hint says is enough, where the share has more digits than it
    run.data.report.chosen = 300
    run.data.report.dropped[LONG] = 29
    with pytest.raises(InputError) as e:
        refuse_cut(run, [part])
    assert "trainer.max_cut: 0.10 goes on" in e.value.hint
    run = make(checkpoint, max_length=64, max_cut=0.29)
    report(dropped=29)  # 0.29 * 100 is less than 29 in floats
    refuse_cut(run, [part])
    run = make(checkpoint, max_length=64, max_cut=1.0)
    report(dropped=lost)
    refuse_cut(run, [part])


def test_what_is_shown_is_what_is_trained(checkpoint):
    run = make(checkpoint)
    pieces = trained_pieces(run, encoded(run)[0])
    assert "".join(text for text, trained in pieces if trained) == f"A model.{END}"
    assert "".join(text for text, _ in pieces).startswith(f"{START}user\nWho are you?")
    assert trained_pieces(run, None) == []


def test_prompts_leave_the_last_answer_out():
    assert [len(one.messages) for one in prompts_of(TALKS)] == [1, 3]
    assert prompts_of([Conversation([Message("user", "no answer")])]) == []
    assert len(prompts_of(TALKS * 3)) == 2
