import pytest
from families import run_of
from PIL import Image
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, Part, Trainer
from ft_model_gemma3 import family, template


def test_refuses_to_pack_images(tmp_path):
    folder = write_tiny(tmp_path, "gemma3", "gemma3")
    packing = Trainer().bind("sft", {"packing": True})
    run = run_of(family, folder, template.bind("gemma3"), packing)

    def encode(*parts):
        turns = [Message("user", [*parts, Part("text", "Look.")]), Message("assistant", "A dog.")]
        return run.tokenize([run.render(Conversation(messages=turns))])

    assert encode()
    with pytest.raises(InputError, match="packed"):
        encode(Part("image", source=Image.new("RGB", (40, 30))))
