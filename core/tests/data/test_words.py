"""Words give the ids and the weights that the tokenizer gives, for every text."""

import random

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ft.api import Rendered
from ft.data import tokenize as by_tokenizer
from ft.data import words
from ft.data.words import Words, cuts_into_words

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
DIGITS_IN_THREES = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BY_CASE = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + CONTRACTIONS
    + r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + CONTRACTIONS
    + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES = [
    *("a", "b", "the", "Hello", "HTTPServer", "'s", "I'm", "'LL", "x", "é", "e\u0301", "İ", "ß"),
    *(" ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u200b", "\x85", "…"),
    *(
        "1",
        "23",
        "4567",
        "٣",
        "東京",
        "🎉",
        ".",
        ",",
        "_",
        "-",
        "//",
        "?!",
        "(",
        '"',
        "<",
        "<s",
        "s>",
    ),
    *("<s>", "</s>", "<end>", "keyword"),
    *("\0", "\0\0a", "\x1c", " \0", "\n/", ".\n//", "1 1", "\n1", "  1", "\n\n- a", "    if"),
]


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
STEPS = {
    "gpt-2": GPT2,
    "digits first": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]),
    "digits in threes": pre_tokenizers.Sequence([split(DIGITS_IN_THREES), BYTES]),
    "by case": pre_tokenizers.Sequence([split(BY_CASE), BYTES]),
}


def texts(count, seed):
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randint(0, 25))) for _ in range(count)]


def make_tokenizer(steps, trim=False, added=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = steps
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim, add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "</s>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(300, 1), trainer)
    tokenizer.add_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def spans(text, draw):
    found, start = [], 0
    while start < len(text) and draw.random() < 0.7:
        start, end = sorted(draw.randint(start, len(text)) for _ in range(2))
        found.append((start, end, draw.choice([1.0, 0.5])))
        start = end
    return found


@pytest.mark.parametrize("trim", [False, True], ids=["whole", "trimmed"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_ids_and_weights_are_the_tokenizers_own(steps, trim, monkeypatch):
    tokenizer = make_tokenizer(steps, trim, added=["keyword"])
    assert cuts_into_words(tokenizer)
    draw = random.Random(3)
    rows = [Rendered(text, spans(text, draw)) for text in texts(3000, 2)]
    expected = by_tokenizer._directly(tokenizer, rows)
    found = Words(tokenizer)
    monkeypatch.setattr(words, "MOST_WORDS", 300)  # so that it forgets in between
    for start in range(0, len(rows), 100):
        some = rows[start : start + 100]
        got = found.encode([row.text for row in some], [row.spans for row in some])
        for row, one, other in zip(some, got, expected[start:], strict=False):
            assert one == other, row


@pytest.mark.parametrize(
    ("steps", "added", "why"),
    [
        (pre_tokenizers.Metaspace(), (), "merges may reach over spaces"),
        (BYTES, (), "nothing cuts the text"),
        (split(r"\p{L}+|\s+|[^\s\p{L}]+"), (), "an unknown pattern"),
        (
            pre_tokenizers.Sequence([split(r" ?\p{L}+|\s+"), BYTES]),
            (),
            "a run takes the last space",
        ),
        (GPT2, (AddedToken("<a b>"),), "a word ends inside of a token"),
        (GPT2, (AddedToken("<mask>", rstrip=True),), "a token takes the space behind it"),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), (), "each text gets a space"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_tokenizers_encode_each_text(steps, added, why):
    assert not cuts_into_words(make_tokenizer(steps, added=added)), why


def test_a_tokenizer_whose_words_differ_is_not_cut(monkeypatch):
    class Wrong(Words):
        def encode(self, texts, spans):
            return [([0], [0.0]) for _ in texts]

    monkeypatch.setattr(by_tokenizer, "Words", Wrong)
    tokenizer = make_tokenizer(GPT2)
    rows = [Rendered(text) for text in texts(200, 5)]
    expected = by_tokenizer._directly(tokenizer, rows)
    for _ in range(2):
        assert by_tokenizer._ids_and_weights(tokenizer, rows) == expected


def test_added_tokens_are_noticed_later():
    tokenizer = make_tokenizer(GPT2)
    rows = [Rendered(f"say newword {n}") for n in range(100)]
    for _ in range(2):
        by_tokenizer._ids_and_weights(tokenizer, rows)
    tokenizer.add_tokens(["newword"])
    found = by_tokenizer._ids_and_weights(tokenizer, rows)
    assert found == by_tokenizer._directly(tokenizer, rows)
    assert tokenizer.convert_tokens_to_ids("newword") in found[0][0]
