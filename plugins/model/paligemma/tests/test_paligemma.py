"""The prefix sees itself whole; what follows sees what stands before it."""

import pytest
import torch
from families import run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, Message, Part
from ft_model_paligemma import family, template


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("paligemma"), "paligemma", "paligemma")
    run = run_of(family, folder, template.bind("paligemma"))
    run.device = torch.device("cpu")
    run.model = run.load_base().eval()
    return run


@pytest.fixture
def row(run):
    parts = [Part("image", source=Image.new("RGB", (40, 30))), Part("text", "Who?")]
    turns = [Message("user", parts), Message("assistant", "A dog.")]
    return run.tokenize([run.render(Conversation(messages=turns))])[0]


def logits(run, ids, **more):
    with torch.no_grad():
        return run.model(input_ids=torch.tensor([ids]), **more).logits[0]


def changed(run, row, place):
    """At which places of a row the logits are others once the token at ``place`` is another."""
    more = {**row.media, "token_type_ids": torch.tensor([row.per_token["token_type_ids"]])}
    other = [id if n != place else id + 1 for n, id in enumerate(row.input_ids)]
    apart = logits(run, row.input_ids, **more) - logits(run, other, **more)
    return [n for n, values in enumerate(apart) if values.abs().max() > 1e-6]


def test_a_row_is_images_begin_of_text_question_and_answer(run, row):
    prefix = row.weights.index(1)
    assert set(row.per_token["token_type_ids"][:prefix]) == {0}
    assert set(row.per_token["token_type_ids"][prefix:]) == {1}
    text = run.tokenizer.decode(row.input_ids).replace("<image>", "")
    assert text == f"{run.tokenizer.bos_token}Who?\nA dog.{run.tokenizer.eos_token}"
    assert not {"labels", "token_type_ids"} & row.media.keys()


def test_the_prefix_sees_itself_and_no_answer(run, row):
    prefix, end = row.weights.index(1), len(row)
    assert changed(run, row, prefix - 1) == list(range(end))
    assert changed(run, row, prefix) == list(range(prefix, end))
    assert changed(run, row, end - 1) == [end - 1]


def test_plain_text_sees_nothing_behind_it(run):
    (row,) = run.encode_text(["The quick brown fox"])
    assert "token_type_ids" not in row.per_token
    before = logits(run, row.input_ids)[:-1]
    assert logits(run, [*row.input_ids[:-1], 40])[:-1].equal(before)


def test_the_saved_processor_is_that_of_transformers(run, tmp_path):
    from transformers import AutoProcessor, PaliGemmaProcessor

    run.processor.save_pretrained(tmp_path)
    assert type(AutoProcessor.from_pretrained(tmp_path)) is PaliGemmaProcessor
