import base64
import io
import struct
import sys
import wave
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ft.api import InputError, Origin, Part
from ft.data.media import open_medium

ORIGIN = Origin("a.json", 7)
RATE = 16_000


def bytes_of(form="PNG", size=(64, 64)):
    stream = io.BytesIO()
    Image.effect_noise(size, 50).save(stream, form)
    return stream.getvalue()


def wav(samples, rate=RATE):
    """A WAV file of one channel, or of as many as the samples have columns."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return stream.getvalue()


def sine(count, rate=RATE):
    return np.sin(2 * np.pi * 440 * np.arange(count) / rate) / 2


def ears(**more):
    return SimpleNamespace(feature_extractor=SimpleNamespace(sampling_rate=RATE, **more))


def opened(kind, source, processor=None):
    return open_medium(processor or ears(), Part(kind, source=source), ORIGIN)


def refused(kind, source, processor=None):
    with pytest.raises(InputError) as caught:
        opened(kind, source, processor)
    assert caught.value.where == "a.json row 7"
    return f"{caught.value} {caught.value.hint}"


class TestImages:
    def test_all_forms_open_as_rgb(self, tmp_path):
        data = bytes_of()
        path = tmp_path / "a.png"
        path.write_bytes(data)
        url = "data:image/png;base64," + base64.b64encode(data).decode()
        for source in (data, path, str(path), url, Image.open(path)):
            image = opened("image", source)
            assert image.mode == "RGB"
            assert image.size == (64, 64)

    @pytest.mark.parametrize("form", ["PNG", "JPEG"])
    def test_a_truncated_image_is_an_error_with_row_and_file(self, tmp_path, form):
        path = tmp_path / "half.img"
        data = bytes_of(form)
        path.write_bytes(data[: len(data) // 2])
        assert "half.img cannot be read" in refused("image", path)
        assert "given as an object cannot be read" in refused("image", Image.open(path))

    @pytest.mark.parametrize(
        "source", ["nowhere.png", b"no image", b"", None, "data:image/png;base64,!!"]
    )
    def test_what_cannot_be_read_is_an_error(self, source):
        assert "cannot be read" in refused("image", source)

    def test_an_image_too_large_to_open_is_never_decoded(self):
        data = bytearray(bytes_of(size=(1, 1)))
        # the size that the head says, behind the signature and the name of the first chunk
        data[16:24] = struct.pack(">II", 60_000, 60_000)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        said = refused("image", bytes(data))
        assert "3600000000 pixels" in said
        assert "scale the image down" in said

    def test_a_missing_library_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "PIL", None)
        assert "install the package that it names" in refused("image", b"x")


class TestClips:
    @pytest.fixture(autouse=True)
    def libraries(self):
        pytest.importorskip("soundfile")
        pytest.importorskip("soxr")

    def test_all_forms_open(self, tmp_path):
        data = wav(sine(800))
        path = tmp_path / "a.wav"
        path.write_bytes(data)
        url = "data:audio/wav;base64," + base64.b64encode(data).decode()
        for source in (data, path, str(path), url, sine(800)):
            np.testing.assert_allclose(opened("audio", source), sine(800), atol=1e-4)

    def test_another_rate_is_resampled_and_channels_are_averaged(self):
        left = sine(44_100, rate=44_100)
        clip = opened("audio", wav(np.stack([left, left / 3], axis=1), rate=44_100))
        assert clip.shape == (RATE,)
        # not where the resampler meets the ends
        np.testing.assert_allclose(clip[200:-200], sine(RATE)[200:-200] * 2 / 3, atol=1e-3)

    @pytest.mark.parametrize(
        "source", ["nowhere.wav", b"no sound", b"", b"RIFF", "data:audio/wav;base64,!!"]
    )
    def test_what_cannot_be_read_is_an_error(self, source):
        assert "cannot be read" in refused("audio", source)

    def test_a_clip_that_is_cut_off_is_an_error(self, tmp_path):
        path = tmp_path / "half.wav"
        path.write_bytes(wav(sine(800))[:1000])
        for source in (path, path.read_bytes()):
            assert "it is cut off after 1000 of 1644 bytes" in refused("audio", source)

    @pytest.mark.parametrize("said", [0, 0xFFFFFFFF])
    def test_a_clip_that_was_streamed_may_leave_its_size_open(self, said):
        data = bytearray(wav(sine(800)))
        data[4:8] = struct.pack("<I", said)
        assert len(opened("audio", bytes(data))) == 800

    def test_a_clip_longer_than_the_model_hears_is_an_error(self):
        said = refused("audio", np.zeros(RATE * 3 // 2), ears(n_samples=RATE))
        assert "lasts 1.5 s, and the model hears 1 s" in said
        assert "cut it into pieces" in said
        assert len(opened("audio", np.zeros(RATE), ears(n_samples=RATE))) == RATE

    def test_a_model_that_hears_everything_takes_a_long_clip(self):
        processor = ears(n_samples=RATE)
        processor.audio_kwargs = {"truncation": False}
        assert len(opened("audio", np.zeros(2 * RATE), processor)) == 2 * RATE
