"""Words give the ids and the weights that the tokenizer gives, for every text."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ft.api import Rendered
from ft.data import tokenize as by_tokenizer
from ft.data import words
from ft.data.cuts import cuts_into_words
from ft.data.words import Words

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
    *("<s>", "</s>", "<end>", "keyword", ">>", "s" * 40, "\x1c", "\n/", ".\n//", "1 1", "\n1"),
    *("  1", "\n\n- a", "    if", "a\n\nb", "\n\n\n", " \n", "\n ", "\r", " /", "is\n\n1. "),
]
CONTROLS = ["\0", "\0\0a", " \0", "\1", "\0\0", "\n\1"]
"""What stands for something else while texts are cut."""
OVERLAPPING = [AddedToken(text, normalized=False) for text in ("<s>>", ">>a", "<<s", ">>")]


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


def texts(count, seed, pieces=PIECES):
    draw = random.Random(seed)
    return ["".join(draw.choices(pieces, k=draw.randint(0, 25))) for _ in range(count)]


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


def assert_same(tokenizer, rows, batch=100):
    """Words give what the tokenizer gives; returns them."""
    assert cuts_into_words(tokenizer)
    expected = by_tokenizer._directly(tokenizer, rows)
    found = Words(tokenizer)
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        got = found.encode([row.text for row in some], [row.spans for row in some])
        for row, one, other in zip(some, got, expected[start:], strict=False):
            assert one == other, row
    return found


@pytest.mark.parametrize("added", [["keyword"], OVERLAPPING], ids=["apart", "overlapping"])
@pytest.mark.parametrize("trim", [False, True], ids=["whole", "trimmed"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_ids_and_weights_are_the_tokenizers_own(steps, trim, added, monkeypatch):
    monkeypatch.setattr(words, "MOST_WORDS", 300)  # so that it forgets in between
    monkeypatch.setattr(words, "MOST_OFFSETS", 30)
    # none of these texts may go to the tokenizer as a whole
    monkeypatch.delattr(Words, "_directly")
    draw = random.Random(3)
    rows = [Rendered(text, spans(text, draw)) for text in texts(2000, 2)]
    assert_same(make_tokenizer(steps, trim, added), rows)


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_texts_with_what_marks_pieces(steps):
    draw = random.Random(4)
    pieces = [*PIECES, *CONTROLS]
    rows = [Rendered(text, spans(text, draw)) for text in texts(1000, 6, pieces)]
    assert {words.can_be_cut(row.text) for row in rows} == {True, False}
    assert_same(make_tokenizer(steps), rows)


trained = cache(lambda name: make_tokenizer(STEPS[name]))


@pytest.mark.parametrize("name", STEPS)
@given(
    rows=st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=4)), min_size=1, max_size=8)
)
@settings(max_examples=50, deadline=None)
def test_any_text(name, rows):
    found = ["".join(row) for row in rows]
    spanned = [Rendered(text, [(len(text) // 3, len(text) // 2, 1.0)]) for text in found]
    assert_same(trained(name), spanned)


def test_spans_end_with_their_text():
    rows = [
        Rendered("one two", [(-3, 2, 0.5), (4, 99, 1.0)]),
        Rendered("three four", [(50, 60, 1.0)]),
        Rendered("", [(0, 4, 1.0)]),
    ]
    assert_same(make_tokenizer(GPT2), rows)


class Counting:
    """A tokenizer's backend that notes what it is asked to encode."""

    def __init__(self, backend):
        self._backend = backend
        self.asked = []

    def encode_batch_fast(self, texts, **options):
        self.asked += texts
        return self._backend.encode_batch_fast(texts, **options)

    def __getattr__(self, name):
        return getattr(self._backend, name)


def test_a_word_is_encoded_once(monkeypatch):
    tokenizer = make_tokenizer(GPT2)
    known = "Who are you?\n\nI am a model.\n    if x:\n        y = 1\n"
    rows = [Rendered(f"<s>{known}{known}<end>", [(3, 40, 1.0)])] * 300
    found = assert_same(tokenizer, rows)
    found._backend = Counting(found._backend)
    monkeypatch.delattr(Words, "_directly")
    more = [Rendered(f"<s>{known}a new one{number}<end>", [(3, 40, 1.0)]) for number in range(9)]
    found.encode([row.text for row in more], [row.spans for row in more])
    assert sorted(found._backend.asked) == [" new", *(f" one{number}" for number in range(9)), "a"]


def test_rows_are_encoded_by_words_once_tried(monkeypatch):
    tokenizer = make_tokenizer(GPT2)
    rows = [Rendered(text) for text in texts(100, 7)]
    expected = by_tokenizer._ids_and_weights(tokenizer, rows)
    monkeypatch.delattr(by_tokenizer, "_directly")
    assert by_tokenizer._ids_and_weights(tokenizer, rows) == expected


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
