"""Families that read videos, or even images, only where torchvision is installed."""

from __future__ import annotations

from importlib.util import find_spec
from inspect import signature
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
    ``video_processor`` are the names of transformers' classes. ``frames`` are how many of a video
    are taken, evenly spread, where a checkpoint's own processor would take all.
    """

    processor: str
    image_processor: str
    video_processor: str
    frames: int | None = None

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(accepts=["video"]) if find_spec("torchvision") else said

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        import transformers

        if find_spec("torchvision"):
            if self.frames is None:
                return None
            loaded = getattr(transformers, self.processor).from_pretrained(folder)
            if not loaded.video_processor.do_sample_frames:
                loaded.video_processor.do_sample_frames = True
                loaded.video_processor.num_frames = self.frames
            return loaded
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

    def tiny_arguments(self, config: PretrainedConfig) -> dict[str, Any]:
        """What else the processor is made with: numbers to count placeholders by, its ears."""
        return {}

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        options = self.tiny_media(config)
        build = getattr(transformers, self.processor)
        parts = {"image_processor": getattr(transformers, self.image_processor)(**options)}
        if find_spec("torchvision"):
            # frames that are given as they are do not say when each was taken
            reader = getattr(transformers, self.video_processor)
            parts["video_processor"] = reader(**{"do_sample_frames": False, **options})
        else:
            build = without_video(build)
        more = self.tiny_arguments(config)
        return build(tokenizer=tokenizer, chat_template=tokenizer.chat_template, **more, **parts)


class TorchvisionFamily(ModelFamily):
    """A family whose images, too, transformers reads by torchvision alone.

    Without it rows of text train, by the tokenizer, and a row with media is refused; a checkpoint
    without a vision part loses nothing. ``seen`` are the capabilities that are there with it.
    """

    seen = ("images",)

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(accepts=self.seen) if find_spec("torchvision") else said

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any | None:
        if find_spec("torchvision"):
            return None
        from transformers import AutoTokenizer

        if hasattr(run.config, "vision_config"):
            run.progress.warn("torchvision is not installed: text is read, images are not")
        return AutoTokenizer.from_pretrained(folder)


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
            # while the original is built, it may look at the settings of its video part
            self.video_processor = self.image_processor

    original = signature(whole.__init__)  # type: ignore[misc]
    taken = [p for name, p in original.parameters.items() if name != "video_processor"]
    names = [parameter.name for parameter in taken][1:]

    class ImagesOnly(whole, Bare):
        def __init__(self, *parts: Any, **named: Any):
            named.update(zip(names, parts, strict=False))
            super().__init__(**named, video_processor=None)
            del self.video_processor

        @property
        def model_input_names(self) -> list[str]:
            try:
                return super().model_input_names
            except AttributeError:  # the original asks its video part as well
                return ProcessorMixin.model_input_names.fget(self)  # type: ignore[attr-defined]

        @staticmethod
        def validate_init_kwargs(processor_config: Any, valid_kwargs: Any) -> Any:
            return whole.validate_init_kwargs(processor_config, names)  # type: ignore[attr-defined]

        def save_pretrained(
            self, save_directory: Any, push_to_hub: bool = False, **more: Any
        ) -> Any:
            # where videos can be read, their processor is loaded from this file
            self.image_processor.save_pretrained(save_directory)
            # past the original: what that adds of its own belongs to videos
            return ProcessorMixin.save_pretrained(self, save_directory, push_to_hub, **more)

    # by its signature a processor knows what to save, and what of it to read back
    ImagesOnly.__init__.__signature__ = original.replace(parameters=taken)  # type: ignore[attr-defined]
    ImagesOnly.__name__ = ImagesOnly.__qualname__ = whole.__name__
    return ImagesOnly
