"""Families whose processor reads images and videos, the latter where torchvision is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api._markers import hookimpl
from ft.api.capability import Capabilities
from ft.api.model import ModelFamily

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from ft.api.run import Run


class VideoFamily(ModelFamily):
    """A family that sees images, and videos where torchvision is installed.

    transformers reads videos by torchvision alone. Without it the processor is loaded without its
    video part, and ``video`` is not accepted. ``processor``, ``image_processor`` and
    ``video_processor`` are the names of transformers' classes.
    """

    processor: str
    image_processor: str
    video_processor: str

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(accepts=["video"]) if find_spec("torchvision") else said

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        if find_spec("torchvision"):
            return None
        import transformers

        run.progress.warn("torchvision is not installed: images are read, videos are not")
        images_only = without_video(getattr(transformers, self.processor))
        return images_only.from_pretrained(folder, **self.processor_options)

    def tiny_media(self, config: PretrainedConfig) -> dict[str, Any]:
        """What both processors of a test checkpoint with ``config`` are made with.

        Those of patches that are merged; a family with others overrides it.
        """
        vision = config.vision_config
        return {
            "patch_size": vision.patch_size,
            "merge_size": vision.spatial_merge_size,
            "size": {"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
        }

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        options = self.tiny_media(config)
        build = getattr(transformers, self.processor)
        parts = {"image_processor": getattr(transformers, self.image_processor)(**options)}
        if find_spec("torchvision"):
            parts["video_processor"] = getattr(transformers, self.video_processor)(**options)
        else:
            build = without_video(build)
        return build(tokenizer=tokenizer, chat_template=tokenizer.chat_template, **parts)


def without_video(whole: type) -> Any:
    """A processor class of transformers without its video part.

    It has the name of the original, so that what it saves loads as the original where that can be.
    """
    from transformers import ProcessorMixin

    class Bare(ProcessorMixin):
        """Stands behind ``whole`` in the order of resolution: no video part gets to the end."""

        def __init__(self, *parts: Any, **named: Any):
            named = {name: part for name, part in named.items() if name != "video_processor"}
            super().__init__(*[part for part in parts if part is not None], **named)

    class ImagesOnly(whole, Bare):
        def __init__(
            self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
        ):
            super().__init__(
                image_processor=image_processor,
                tokenizer=tokenizer,
                video_processor=None,
                chat_template=chat_template,
            )

        def save_pretrained(
            self, save_directory: Any, push_to_hub: bool = False, **more: Any
        ) -> Any:
            # where videos can be read, their processor is loaded from this file
            self.image_processor.save_pretrained(save_directory)
            return super().save_pretrained(save_directory, push_to_hub, **more)

    ImagesOnly.__name__ = ImagesOnly.__qualname__ = whole.__name__
    return ImagesOnly
