"""Qwen2.5-VL's processor for machines without torchvision, which its video part needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoImageProcessor, AutoTokenizer, ProcessorMixin


class Qwen2_5_VLProcessor(transformers.Qwen2_5_VLProcessor):  # noqa: N801
    """The same processor without videos.

    It has the original's name, so that what it saves loads as the original where that can be.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ):
        self.image_token = "<|image_pad|>"
        self.video_token = "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> Any:
        # where videos can be read, their processor is loaded from this file
        self.image_processor.save_pretrained(save_directory)
        return super().save_pretrained(save_directory, push_to_hub, **kwargs)


def load(folder: Path, options: Mapping[str, Any]) -> Qwen2_5_VLProcessor:
    """The processor of a checkpoint; ``options`` go to the image processor."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    images = AutoImageProcessor.from_pretrained(folder, **options)
    return Qwen2_5_VLProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
