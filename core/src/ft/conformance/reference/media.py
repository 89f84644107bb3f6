"""The reference model with senses: patches of images, videos and audio clips as tokens.

A medium is cut into patches of :data:`PATCH` numbers. The processor puts one placeholder for
each of them into the text, and the model puts the patch, projected, in its place.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ft.conformance.reference.modeling import ReferenceConfig, ReferenceModel

SIDE = 8
PATCH = SIDE * SIDE
COLUMNS = {"image": "pixel_values", "video": "pixel_values_videos", "audio": "input_features"}
"""Medium → the column of a batch that holds its patches, all those of the batch in turn."""


class MediaConfig(ReferenceConfig):
    """Sizes of the model, and the ids of its placeholders."""

    model_type = "ft-reference-media"

    def __init__(
        self,
        image_token_id: int = 509,
        video_token_id: int = 510,
        audio_token_id: int = 511,
        **kwargs: Any,
    ):
        self.image_token_id = image_token_id
        self.video_token_id = video_token_id
        self.audio_token_id = audio_token_id
        super().__init__(**kwargs)


class MediaModel(ReferenceModel):
    """The reference model behind two projections."""

    config_class: Any = MediaConfig

    def __init__(self, config: MediaConfig):
        super().__init__(config)
        self.eyes = nn.Linear(PATCH, config.hidden_size)
        self.ears = nn.Linear(PATCH, config.hidden_size)
        self.post_init()

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        return self.eyes(pixel_values)

    def get_video_features(self, pixel_values_videos: Tensor) -> Tensor:
        return self.eyes(pixel_values_videos)

    def get_audio_features(self, input_features: Tensor) -> Tensor:
        return self.ears(input_features)

    def forward(self, input_ids: Tensor | None = None, **kwargs: Any) -> Any:
        media = {kind: kwargs.pop(column, None) for kind, column in COLUMNS.items()}
        if input_ids is None:
            return super().forward(**kwargs)
        embeddings = self.embed_tokens(input_ids)
        for kind, values in media.items():
            if values is None:
                continue
            features = getattr(self, f"get_{kind}_features")(values)
            places = input_ids == getattr(self.config, f"{kind}_token_id")
            if int(places.sum()) != len(features):
                raise ValueError(f"{len(features)} features for {int(places.sum())} placeholders")
            embeddings = embeddings.masked_scatter(places[..., None], features)
        return super().forward(inputs_embeds=embeddings, **kwargs)


class MediaProcessor:
    """A tokenizer, and what cuts media into patches."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.image_processor = self.video_processor = self.patches
        self.feature_extractor = SimpleNamespace(sampling_rate=16_000)
        self.chat_template = tokenizer.chat_template
        self.model_input_names = ["input_ids", "attention_mask", *COLUMNS.values()]
        for kind in COLUMNS:
            setattr(self, f"{kind}_token", f"<|{kind}|>")

    def patches(self, medium: Any) -> Tensor:
        """The patches (number, :data:`PATCH`) of an image, or of an array of any shape."""
        import numpy as np

        values: Any = np.asarray(medium, dtype=np.float32).reshape(-1)
        if values.max(initial=0) > 1:  # a picture's bytes
            values = values / 255
        return torch.from_numpy(values[: len(values) // PATCH * PATCH].reshape(-1, PATCH).copy())

    def count(self, kind: str, patches: Tensor) -> int:
        """How many placeholders a medium gets."""
        return len(patches)

    def __call__(self, text: list[str], **settings: Any) -> dict[str, Any]:
        """What the model reads of one text with its media; offsets are those of the text
        whose placeholders are expanded."""
        (whole,) = text
        # images and videos come in a list for each text
        (images,), (videos,) = settings.get("images") or [[]], settings.get("videos") or [[]]
        media = {"image": images, "video": videos, "audio": settings.get("audio") or []}
        found = {kind: [self.patches(medium) for medium in each] for kind, each in media.items()}
        out: dict[str, Any] = {}
        replaced, shift = [], 0
        for at, kind, patches in self._places(whole, found):
            token = getattr(self, f"{kind}_token")
            expanded = token * self.count(kind, patches)
            start, old = at + shift, len(token)
            whole = whole[:start] + expanded + whole[start + old :]
            spans = {"span": (at, at + old), "new_span": (start, start + len(expanded))}
            replaced.append(spans)
            shift += len(expanded) - old
        encoding = self.tokenizer(
            [whole], add_special_tokens=False, return_offsets_mapping=True, return_tensors="pt"
        )
        out |= {name: encoding[name] for name in ("input_ids", "attention_mask", "offset_mapping")}
        out |= {COLUMNS[kind]: torch.cat(each) for kind, each in found.items() if each}
        out["text_replacement_offsets"] = [replaced]
        return out

    def _places(self, text: str, found: dict[str, list[Tensor]]) -> list[tuple[int, str, Tensor]]:
        """Where each medium stands in the text, from left to right."""
        places = []
        for kind, each in found.items():
            at = -1
            for patches in each:
                at = text.index(getattr(self, f"{kind}_token"), at + 1)
                places.append((at, kind, patches))
        return sorted(places, key=lambda place: place[0])

    def save_pretrained(self, folder: str | Path) -> None:
        """The patches have no settings: the tokenizer is all."""
        self.tokenizer.save_pretrained(folder)
