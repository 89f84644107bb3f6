from array import array
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ft.api import Encoded, InputError, Origin, Part, Rendered
from ft.data.offsets import token_weights
from ft.data.tokenize import (
    _encode_media,
    _shift,
    encode_text,
    tokenize,
)

ORIGIN = Origin("a.json", 7)
TEXT = "Who are you? I am a small model. naïve 東京 spaces   here\n"


def make_tokenizer(trim_offsets):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>", "<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


# Llama 3's tokenizer trims the spaces off its offsets, Qwen's and GPT-2's do not
@pytest.fixture(params=[False, True], ids=["whole", "trimmed"])
def run(request):
    tokenizer = make_tokenizer(request.param)
    return SimpleNamespace(tokenizer=tokenizer, processor=tokenizer)


def trained(run, text, *pieces):
    """The decoded tokens that are trained where the spans are these pieces of the text."""
    spans = [(text.index(piece), text.index(piece) + len(piece), 1.0) for piece in pieces]
    (row,) = tokenize(run, [Rendered(text, spans)])
    return run.tokenizer.decode([i for i, w in zip(row.input_ids, row.weights, strict=True) if w])


class TestText:
    def test_only_the_span_trains(self, run):
        text = "<s>Who?<end>\nA model.<end>\nWho?<end>\n"
        assert trained(run, text, "A model.<end>") == "A model.<end>"

    def test_the_bytes_of_a_character_train_together(self, run):
        assert trained(run, "<s>東<end>京🎉<end>", "京🎉<end>") == "京🎉<end>"

    @pytest.mark.parametrize("answer", [" yes", "   ", "a   b", " ", "a ", "\n\n a"])
    def test_spaces_train(self, run, answer):
        assert trained(run, f"<s>Q<end>{answer}<end>\n", f"{answer}<end>") == f"{answer}<end>"

    def test_what_follows_the_terminator_does_not_train(self, run):
        for rest in (" Who", "   Who", "\nWho"):
            assert trained(run, f"<s>a<end>{rest}", "a<end>") == "a<end>"

    def test_a_token_over_a_boundary_trains(self, run):
        text = "Who are"
        (row,) = tokenize(run, [Rendered(text, [(0, 1, 0.5), (1, 7, 2.0)])])
        assert all(row.weights)
        assert row.weights[-1] == 2.0

    def test_adjacent_spans_keep_their_weights(self, run):
        (row,) = tokenize(run, [Rendered("<end><end>", [(0, 5, 0.5), (5, 10, 2.0)])])
        assert list(row.weights) == [0.5, 2.0]

    def test_nothing_is_added(self, run):
        (row,) = tokenize(run, [Rendered("<end>", origin=ORIGIN)])
        assert row == Encoded(array("i", [2]), array("f", [0.0]), origin=ORIGIN)

    def test_empty(self, run):
        assert tokenize(run, []) == []
        assert tokenize(run, [Rendered("")]) == [Encoded(array("i"), array("f"))]

    def test_an_empty_span_trains_nothing(self, run):
        (row,) = tokenize(run, [Rendered("a   b", [(2, 2, 1.0)])])
        assert not any(row.weights)

    def test_a_slow_tokenizer_is_refused(self):
        tokenizer = SimpleNamespace(is_fast=False)
        run = SimpleNamespace(tokenizer=tokenizer, processor=tokenizer)
        with pytest.raises(InputError, match=r"which text a token came from"):
            tokenize(run, [Rendered("a")])

    def test_text_rows_of_a_media_model_have_its_columns(self, run):
        run.processor = SimpleNamespace(
            model_input_names=["input_ids", "pixel_values", "token_type_ids"],
            image_token="<image>",
        )
        (row,) = tokenize(run, [Rendered("<end><end>")])
        assert row.per_token == {"token_type_ids": [0, 0]}

    def test_a_placeholder_without_a_medium_is_an_error(self, run):
        run.processor = SimpleNamespace(model_input_names=[], image_token="<image>")
        with pytest.raises(InputError, match="1 of <image> for 0 parts") as caught:
            tokenize(run, [Rendered("what is <image>?", origin=ORIGIN)])
        assert caught.value.where == "a.json row 7"

    def test_a_medium_for_a_text_model_is_an_error(self, run):
        row = Rendered("x", media=[Part("image", source="x.png")], origin=ORIGIN)
        with pytest.raises(InputError, match="does not take") as caught:
            tokenize(run, [row])
        assert caught.value.where == "a.json row 7"


def test_every_token_of_random_spans(run):
    """The fast range search equals asking every token, with gaps given to the next token."""
    import random

    numbers = random.Random(0)
    for _ in range(200):
        text = "".join(numbers.choices("ab é東  \n", k=30))
        offsets = run.tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)[
            "offset_mapping"
        ]
        start, end = sorted(numbers.choices(range(len(text) + 1), k=2))
        expected, covered = [], 0
        for token_start, token_end in offsets:
            overlaps = min(token_start, covered) < end and token_end > start and start < end
            expected.append(1.0 if overlaps else 0.0)
            covered = token_end
        assert list(token_weights(offsets, [(start, end, 1.0)])) == expected


class TestPlainText:
    def test_the_end_token_closes_each_text_once(self, run):
        rows = encode_text(run, ["Who", "Who</s>"])
        assert [row.input_ids[-2:].count(1) for row in rows] == [1, 1]
        assert all(row.weights == [1.0] * len(row.input_ids) for row in rows)

    def test_the_tokenizers_own_special_tokens_are_added(self, run):
        run.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        (row,) = encode_text(run, ["a"])
        assert row.input_ids[0] == 0
        assert row.input_ids.count(1) == 1

    def test_no_texts(self, run):
        assert encode_text(run, []) == []


def test_spans_move_with_the_placeholders_before_them():
    replaced = [
        {"span": (2, 4), "new_span": (2, 10)},
        {"span": (6, 8), "new_span": (12, 13)},
    ]
    assert _shift([(0, 2, 1.0), (4, 6, 1.0), (8, 9, 1.0)], replaced) == [
        (0, 2, 1.0),
        (10, 12, 1.0),
        (13, 14, 1.0),
    ]


def test_features_of_a_medium_are_never_trained(run):
    """``<img>`` stands for three features, in a text that is trained on as a whole."""
    text, grown = "Look: <end> Yes.", "Look: <end><end><end> Yes."
    span = [text.index("<end>"), text.index("<end>") + 5]
    replaced = {"span": span, "new_span": [span[0], span[0] + 15]}

    def processor(**arguments):
        out = run.tokenizer([grown], return_tensors="pt", return_offsets_mapping=True)
        return {**out, "text_replacement_offsets": [[replaced]]}

    whole = SimpleNamespace(tokenizer=run.tokenizer, processor=processor)
    row = _encode_media(whole, Rendered(text, [(0, len(text), 1.0)]))
    end = run.tokenizer.convert_tokens_to_ids("<end>")
    assert [w for i, w in zip(row.input_ids, row.weights, strict=True) if i == end] == [0.0] * 3
    assert sum(row.weights) == len(row) - 3


def processor_of(run, *lengths, error=None):
    """Replaces the first characters of a text by as many as each of ``lengths`` says."""
    spans = [{"span": (n, n + 1), "new_span": (n, n + end)} for n, end in enumerate(lengths)]

    def processor(**arguments):
        if error:
            raise error
        out = run.tokenizer(arguments["text"], return_tensors="pt", return_offsets_mapping=True)
        return {**out, "text_replacement_offsets": [spans]}

    return SimpleNamespace(tokenizer=run.tokenizer, processor=processor)


class TestRefusals:
    def refused(self, run, *sources):
        row = Rendered("abc", media=[Part("video", source=s) for s in sources], origin=ORIGIN)
        with pytest.raises(InputError) as caught:
            _encode_media(run, row)
        assert caught.value.where == "a.json row 7"
        return str(caught.value)

    def test_a_medium_without_a_feature(self, run):
        said = self.refused(processor_of(run, 1, 0), "long.mp4", "short.mp4")
        assert "the video short.mp4 is too short" in said

    def test_what_the_processor_cannot_take(self, run):
        said = self.refused(processor_of(run, error=KeyError("frames")), "odd.mp4", b"x")
        assert "refuses the media of the row (odd.mp4, given as bytes): 'frames'" in said


def test_plain_text_of_a_media_model_has_its_columns(run):
    processor = SimpleNamespace(model_input_names=["input_ids", "token_type_ids"])
    (row,) = encode_text(SimpleNamespace(tokenizer=run.tokenizer, processor=processor), ["a b"])
    assert row.per_token == {"token_type_ids": [0] * len(row)}
