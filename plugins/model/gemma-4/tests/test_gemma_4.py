import numpy as np
import pytest
from families import run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part, ToolCall, Trainer
from ft_model_gemma_4 import family, template
from ft_model_gemma_4.calls import read_call


def test_reads_values_of_every_kind():
    text = 'call:f{a:<|"|>x, {y}<|"|>,b:-2.5,c:[1,<|"|>[<|"|>,[]],d:{e:null,f:{}},g:true}'
    arguments = {"a": "x, {y}", "b": -2.5, "c": [1, "[", []], "d": {"e": None, "f": {}}, "g": True}
    assert read_call(text) == ToolCall("f", arguments)


@pytest.mark.parametrize(
    "text",
    ["call:f", "call:f{a:1", "call:f{a 1}", "call:f{a:}", "call:f{a:1}b", "f{}", "call:f[1]"],
)
def test_what_is_no_call_is_kept_as_text(text):
    written = f"Well. <|tool_call>{text}<tool_call|>"
    assert template.ft_parse_answer(written) == Message("assistant", written)


@pytest.mark.parametrize("attends", ["vision", None])
def test_refuses_to_pack_images_that_attend_both_ways(tmp_path, attends):
    folder = write_tiny(tmp_path, "gemma-4", "gemma4")
    packing = Trainer().bind("sft", {"packing": True})
    run = run_of(family, folder, template.bind("gemma4"), packing)
    run.config.get_text_config().use_bidirectional_attention = attends

    def encode(*parts):
        turns = [Message("user", [*parts, Part("text", "Look.")]), Message("assistant", "A dog.")]
        return run.tokenize([run.render(Conversation(messages=turns))])

    image = Part("image", source=Image.new("RGB", (40, 30)))
    assert encode(Part("audio", source=np.zeros(800, np.float32)))
    if attends is None:
        assert encode(image)
    else:
        with pytest.raises(InputError, match="packed"):
            encode(image)
