"""The reference model family: an architecture of its own, which no library registers."""

from __future__ import annotations

from typing import Any

from ft.api import ModelFamily, hookimpl


class Family(ModelFamily):
    """The kit's own architecture."""

    def classes(self, model_type: str) -> Any:
        from ft.conformance.reference.modeling import ReferenceConfig, ReferenceModel

        return ReferenceConfig, ReferenceModel

    def tiny_config(self, model_type: str) -> Any:
        from ft.conformance.reference.modeling import ReferenceConfig

        return ReferenceConfig()


class MediaFamily(Family):
    """The same with images, clips and videos: each patch of them is one token."""

    def classes(self, model_type: str) -> Any:
        from ft.conformance.reference.media import MediaConfig, MediaModel

        return MediaConfig, MediaModel

    @hookimpl
    def ft_load_processor(self, folder: Any) -> Any:
        from transformers import AutoTokenizer

        from ft.conformance.reference.media import MediaProcessor

        return MediaProcessor(AutoTokenizer.from_pretrained(folder))

    def tiny_config(self, model_type: str) -> Any:
        from ft.conformance.reference.media import MediaConfig

        return MediaConfig()

    def tiny_processor(self, config: Any, tokenizer: Any) -> Any:
        from ft.conformance.reference.media import MediaProcessor

        for name, token in self.media_tokens.items():
            setattr(config, f"{name}_id", tokenizer.convert_tokens_to_ids(token))
        return MediaProcessor(tokenizer)


family = Family(
    title="Reference",
    vendor="ft",
    model_types=("ft-reference",),
    templates="reference",
    groups={"embeddings": "embed_tokens", "language": "layers", "norm": "norm"},
    accepts=("packing",),
)
media_family = MediaFamily(
    title="Reference with media",
    vendor="ft",
    model_types=("ft-reference-media",),
    templates="reference",
    groups={**family.groups, "eyes": "eyes", "ears": "ears"},
    media_tokens={f"{kind}_token": f"<|{kind}|>" for kind in ("image", "video", "audio")},
    accepts=("packing", "images", "video", "audio"),
)
