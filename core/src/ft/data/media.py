"""Media of a row, opened: what the model's processor takes, or an error that names file and row."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api.examples import Origin, Part
from ft.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_READERS = {
    "image": ("image_processor",),
    "video": ("video_processor",),
    "audio": ("feature_extractor", "audio_processor"),
}
"""Type of a part → the attributes of a processor, of which one reads it."""

_STREAMED = (0, 0xFFFFFFFF)
"""Sizes that a WAV file says whose writer did not know how long it would get."""


def reader(processor: Any, kind: str) -> Any | None:
    """The part of a processor that reads media of a kind; ``None`` where it has none."""
    found = (getattr(processor, name, None) for name in _READERS[kind])
    return next((part for part in found if part is not None), None)


def open_medium(processor: Any, part: Part, origin: Origin | None) -> Any:
    """What ``processor`` takes for a part of a message.

    An image in RGB, turned as its camera says; the samples of a clip at the rate of the model,
    its channels averaged. A video is left to the processor, and so is any other object.

    Raises :class:`ft.api.InputError`, with the row, for what is missing, damaged, cut off, too
    large to be opened safely, or longer than the model hears.
    """
    where = str(origin) if origin else None
    try:
        if part.type == "image":
            return _image(part.source)
        if part.type == "audio":
            return _clip(processor, part.source)
    except _TooLong as error:
        raise InputError(
            f"the audio clip {name_of(part)} {error}",
            where=where,
            hint="cut it into pieces, with a row for each",
        ) from error
    # Pillow reports damaged files with many types, struct.error and SyntaxError among them
    except Exception as error:
        what = {"image": "image", "audio": "audio clip"}[part.type]
        raise InputError(
            f"the {what} {name_of(part)} cannot be read: {error}",
            where=where,
            hint=_advice(error),
        ) from error
    return part.source


def name_of(part: Part) -> str:
    """A medium in a message: its path or address, or what it is."""
    source = part.source
    if isinstance(source, str | Path):
        text = str(source)
        return text if len(text) <= 200 else f"{text[:60]}…"
    return "given as bytes" if isinstance(source, bytes | bytearray) else "given as an object"


def _advice(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install the package that it names"
    if type(error).__name__ == "DecompressionBombError":
        return "scale the image down, the model sees far fewer pixels; or take the row out"
    return "check that the file is complete and can be reached from here"


# -- images ------------------------------------------------------------------------------------


def _image(source: Any) -> Image:
    from PIL import Image, ImageOps

    if isinstance(source, Image.Image):
        return source.convert("RGB")
    with Image.open(_image_file(source)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _image_file(source: Any) -> Any:
    """What Pillow opens: a path, or a file object."""
    if isinstance(source, bytes | bytearray):
        return io.BytesIO(source)
    text = str(source)
    if text.startswith("data:"):
        return io.BytesIO(base64.b64decode(text.partition(",")[2], validate=True))
    if text.startswith(("http://", "https://")):
        from urllib.request import urlopen

        with urlopen(text, timeout=30) as response:
            return io.BytesIO(response.read())
    return source


# -- clips -------------------------------------------------------------------------------------


class _TooLong(ValueError):
    """A clip is longer than what the model hears of it."""


def _clip(processor: Any, source: Any) -> Any:
    ears: Any = reader(processor, "audio")
    if isinstance(source, str | Path | bytes | bytearray):
        from transformers.audio_utils import load_audio

        source = load_audio(_clip_source(source), ears.sampling_rate)
    heard = _heard(processor, ears)
    if heard is not None and len(source) > heard:
        rate = ears.sampling_rate
        raise _TooLong(f"lasts {len(source) / rate:.3g} s, and the model hears {heard / rate:g} s")
    return source


def _heard(processor: Any, ears: Any) -> int | None:
    """Of how many samples a processor makes features; ``None`` where it takes them all."""
    settings = getattr(processor, "audio_kwargs", None) or {}
    return getattr(ears, "n_samples", None) if settings.get("truncation", True) else None


def _clip_source(source: str | Path | bytes | bytearray) -> str:
    """What transformers loads: the path of a file that is there, an address, or base64."""
    if isinstance(source, str | Path):
        text = str(source)
        if text.startswith(("http://", "https://", "data:")):
            return text
        with Path(source).open("rb") as stream:
            _require_whole(stream.read(8), Path(source).stat().st_size)
        return text
    _require_whole(bytes(source[:8]), len(source))
    return f"data:;base64,{base64.b64encode(source).decode('ascii')}"


def _require_whole(head: bytes, size: int) -> None:
    """Refuse a WAV file that is cut off: it would be read as a shorter clip."""
    said = int.from_bytes(head[4:8], "little")
    if head[:4] == b"RIFF" and said not in _STREAMED and said + 8 > size:
        raise ValueError(f"it is cut off after {size} of {said + 8} bytes")
