"""Tiny checkpoints: a family's own classes with random weights, written in a second."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import ModelFamily, Run, Template
from ft.data.render import unmarked
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TEXT = (
    "The quick brown fox jumps over the lazy dog. Who are you? I am a small model that was made "
    "for tests. What is one and two? It is three. Paris is the capital of France, and Berlin "
    "that of Germany. 0 1 2 3 4 5 6 7 8 9. system user assistant tool model naïve 東京\n"
)
_CONTROL = re.compile(r"<\|\w+\|>|</?(?:think|tool_call|tool_response|\w+_of_(?:turn|image))>")
"""What a chat template writes that is one token for most models."""


def control_tokens(template: Template) -> tuple[str, ...]:
    """The control tokens that a template writes, each once, in their order."""
    return tuple(dict.fromkeys((*_CONTROL.findall(template.jinja), *template.stop)))


def write_tiny(
    folder: Path,
    family: ModelFamily,
    model_type: str,
    template: Template | None = None,
    config: PretrainedConfig | None = None,
) -> Path:
    """Write a checkpoint that loads as a published one does, and return its folder.

    Configuration and random float32 weights of ``config``, which is
    ``family.tiny_config(model_type)`` unless it is given, and the family's processor around a
    byte-level BPE tokenizer with the control tokens of ``template``, which is its chat template.
    The same arguments give the same files.
    """
    import torch

    config = config or family.tiny_config(model_type)
    text_config = config.get_text_config()
    tokenizer = tiny_tokenizer(text_config.vocab_size, template, family.media_tokens)
    processor = family.tiny_processor(config, tokenizer)
    if template is not None and not getattr(processor, "chat_template", None):
        processor.chat_template = tokenizer.chat_template
    own = getattr(processor, "tokenizer", processor)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(text_config, name, getattr(own, name))
    # with the usual 0.02 the logits of so small a model hardly differ between tokens
    text_config.initializer_range = 0.2
    settings = {"random_weights": True, "dtype": "float32"}
    run = Run(Selection([family.bind(model_type, settings)], DEFAULTS), folder=folder)
    run.device, run.weight_dtype, run.config = torch.device("cpu"), torch.float32, config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = run.hook.ft_load_model(run=run, folder=folder, config=config, quantization=None)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tiny_tokenizer(size: int, template: Template | None, named: dict[str, str]) -> Any:
    """A byte-level BPE tokenizer of at most ``size`` tokens; ``named`` are control tokens by name.

    The named ones come last: random ids of the first half stand for text alone.
    """
    import transformers
    from tokenizers import AddedToken, Tokenizer

    last = tuple(dict.fromkeys(named.values()))
    control = tuple(t for t in (control_tokens(template) if template else ()) if t not in last)
    backend = Tokenizer.from_str(_bpe(size - len(last), control).to_str())
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in last])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|startoftext|>",
        eos_token=template.stop[0] if template and template.stop else "<|endoftext|>",
        pad_token="<|endoftext|>",
        model_max_length=512,
        extra_special_tokens=named,
    )
    if template is not None:
        tokenizer.chat_template = unmarked(template.jinja)
    return tokenizer


@lru_cache(maxsize=16)
def _bpe(size: int, control: tuple[str, ...]) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    special = ["<|endoftext|>", "<|startoftext|>", *control]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return tokenizer
