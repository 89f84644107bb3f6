"""Tiny checkpoints of any family: real classes, random weights, made in a second."""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Template
from ft.data.render import unmarked

TEXT = (
    "The quick brown fox jumps over the lazy dog. Who are you? I am a small model that was made "
    "for tests. What is one and two? It is three. Paris is the capital of France, and Berlin "
    "that of Germany. 0 1 2 3 4 5 6 7 8 9. system user assistant tool model naïve 東京\n"
)
# what a chat template writes that must be one token
_CONTROL = re.compile(r"<\|\w+\|>|</?(?:think|tool_call|tool_response|\w+_of_(?:turn|image))>")


def write_tiny(folder: Path, family: str, model_type: str, *, images: bool = False) -> Path:
    """Write a checkpoint that loads as a published one does, and return its folder.

    Config and random float32 weights of ``family.tiny_config(model_type)``, a byte-level BPE
    tokenizer with the template's special tokens, the template without its marks, and with
    ``images`` the model's processor. The same arguments give the same files.
    """
    import torch
    import transformers

    module = importlib.import_module(f"ft_model_{family.replace('-', '_')}")
    plugin: ModelFamily = module.family
    template = _template(plugin, module)
    config = plugin.tiny_config(model_type)
    text_config = config.get_text_config()
    control = tuple(dict.fromkeys(_CONTROL.findall(template.jinja))) if template else ()
    stop = template.stop[0] if template and template.stop else "<|endoftext|>"
    named = _IMAGE_TOKENS.get(model_type, {}) if images else {}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_bpe(
            text_config.vocab_size, tuple(dict.fromkeys((*control, *named.values())))
        ),
        bos_token="<|startoftext|>",
        eos_token=stop,
        pad_token="<|endoftext|>",
        model_max_length=text_config.max_position_embeddings,
        extra_special_tokens=named,
    )
    if template:
        tokenizer.chat_template = unmarked(template.jinja)
    for name in ("bos", "eos", "pad"):
        setattr(text_config, f"{name}_token_id", getattr(tokenizer, f"{name}_token_id"))
    for attribute, token in _TOKEN_IDS.get(model_type, {}).items():
        if images:
            setattr(config, attribute, tokenizer.convert_tokens_to_ids(token))

    # with the usual 0.02 the logits of so small a model hardly differ between tokens
    text_config.initializer_range = 0.2
    torch.manual_seed(0)
    auto: Any = getattr(transformers, plugin.auto_class_for(model_type))
    auto.from_config(config).save_pretrained(folder)
    if images:
        _processor(model_type, config, tokenizer).save_pretrained(folder)
    else:
        tokenizer.save_pretrained(folder)
    return folder


def _template(family: ModelFamily, module: Any) -> Template | None:
    if not family.templates:
        return None
    if hasattr(module, "template"):
        return module.template
    return importlib.import_module(f"ft_template_{family.templates[-1].replace('-', '_')}").template


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


_IMAGE_TOKENS = {
    "gemma3": {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    },
    "qwen2_5_vl": {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>",
    },
}
_TOKEN_IDS = {
    "gemma3": {
        "boi_token_index": "<start_of_image>",
        "eoi_token_index": "<end_of_image>",
        "image_token_index": "<image_soft_token>",
    },
    "qwen2_5_vl": {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    },
}


def _processor(model_type: str, config: Any, tokenizer: Any) -> Any:
    import transformers

    vision = config.vision_config
    if model_type == "gemma3":
        return transformers.Gemma3Processor(
            image_processor=transformers.Gemma3ImageProcessorPil(
                size={"height": vision.image_size, "width": vision.image_size}
            ),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template,
            image_seq_length=config.mm_tokens_per_image,
        )
    pixels = {"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    from ft_model_qwen2_5_vl.images_only import Qwen2_5_VLProcessor

    return Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessorPil(
            patch_size=vision.patch_size, merge_size=vision.spatial_merge_size, size=pixels
        ),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    )
