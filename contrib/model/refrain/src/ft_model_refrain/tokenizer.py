"""The tokenizer: one token for each byte, and one for each control string of the template."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONTROL = ("<|pad|>", "<|turn|>", "<|over|>", "<|think|>", "<|say|>", "<|call|>")
"""What the template writes and no user can: their ids come first, from 0."""


def make_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of 6 control tokens and 256 bytes, that knows which text a token came from.

    Byte-pair encoding without a single merge: nothing has to be trained, no text is unknown,
    and ``tokenizer.json`` holds all of it, so that ``AutoTokenizer`` reads a saved one.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*CONTROL, *bytes_))}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in CONTROL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<|pad|>",
        eos_token="<|over|>",
        model_max_length=max_length,
    )
