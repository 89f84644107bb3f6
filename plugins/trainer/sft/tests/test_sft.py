from dataclasses import replace

import pytest
from harness import tiny_run
from tiny import write_tiny

from ft.api import Conversation, Message
from ft_adapter_full import adapter as full
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

TURNS = [
    Message("user", "Who are you?"),
    Message("assistant", "A model."),
    Message("user", "What is one and two?"),
    Message("assistant", "Three.", weight=2.0),
]


def sft_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        full.bind("full"),
        template.bind("smollm2"),
        adamw.bind("adamw", {"learning_rate": 3e-3}),
        sft.bind("sft", {"steps": 20, "precision": "float32", **options}),
    ]
    return tiny_run(folder, plugins, family=family, rows=encoded)


def encoded(run):
    rows = run.hook.ft_encode(run=run, examples=[Conversation(TURNS)])
    return type("Rows", (list,), {"lengths": property(lambda self: [len(r) for r in self])})(rows)


def trained_text(run):
    row = run.data[0]
    ids = [id for id, weight in zip(row.input_ids, row.weights, strict=True) if weight]
    return run.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("train_on", "text"),
    [
        ("assistant", "A model.<|im_end|>Three.<|im_end|>"),
        ("last", "Three.<|im_end|>"),
    ],
)
def test_what_is_trained_on(tmp_path, train_on, text):
    assert trained_text(sft_run(tmp_path, train_on=train_on)) == text


def test_all_takes_the_prompt_in(tmp_path):
    run = sft_run(tmp_path, train_on="all")
    assert trained_text(run) == run.tokenizer.decode(run.data[0].input_ids)


def test_what_a_message_says_of_itself_comes_first(tmp_path):
    unsaid, said = TURNS[1], replace(TURNS[1], train=True)
    examples = [Conversation([TURNS[0], m, *TURNS[2:]]) for m in (unsaid, said)]
    run = sft_run(tmp_path, train_on="last")
    counts = [sum(map(bool, r.weights)) for r in run.hook.ft_encode(run=run, examples=examples)]
    assert counts[0] < counts[1]
    untrained = Conversation([TURNS[0], replace(TURNS[1], train=False), *TURNS[2:]])
    (tmp_path / "all").mkdir()
    run = sft_run(tmp_path / "all", train_on="all")
    (row,) = run.hook.ft_encode(run=run, examples=[untrained])
    left_out = [i for i, w in zip(row.input_ids, row.weights, strict=True) if not w]
    assert run.tokenizer.decode(left_out) == "A model.<|im_end|>"
