import pytest
from harness import random_rows, tiny_run, train

from ft.api import InputError
from ft_adapter_trainable_tokens import adapter as trainable_tokens
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def trainable_tokens_run(folder, steps=3, **options):
    plugins = [
        trainable_tokens.bind("trainable-tokens", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


class Words:
    """A tokenizer of three words and some rest."""

    pad_token_id = eos_token_id = 0
    words = ("yes", "no", "perhaps")

    def __len__(self):
        return 256

    def encode(self, text, add_special_tokens):
        return [10 + self.words.index(word) for word in text.split()]


def tokens_run(monkeypatch, folder, tokens):
    monkeypatch.setattr("harness.NoTokenizer", Words)
    return trainable_tokens_run(folder, tokens=tokens)


def test_the_chosen_rows_change_and_no_other(monkeypatch, tmp_path):
    there = random_rows()[0].input_ids[6]
    run = tokens_run(monkeypatch, tmp_path, ["no", there])
    before = run.load_base()
    train(run)
    after = run.merge(run.model)
    for find, rows in (
        ("get_input_embeddings", [there]),  # "no" does not occur in the data
        ("get_output_embeddings", sorted([11, there])),
    ):
        old, new = getattr(before, find)().weight, getattr(after, find)().weight
        assert (old != new).any(1).nonzero().flatten().tolist() == rows


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "no token to train"),
        (["yes no"], "'yes no' is 2 tokens"),
        ([256], "no token 256, but 256"),
    ],
)
def test_what_is_no_token_is_refused(monkeypatch, tmp_path, tokens, words):
    with pytest.raises(InputError, match=words):
        tokens_run(monkeypatch, tmp_path, tokens)
