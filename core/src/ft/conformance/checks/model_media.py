"""Model families that see or hear: placeholders, features, and training on both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ft.api import Conversation, Encoded, InputError, Message, Part, Rendered, Run
from ft.conformance.bench import Rows, assert_refuses, gradients, refusal, tiny_run, train
from ft.conformance.check import NotRun, Skip, check
from ft.conformance.models import assert_same_step, without_dropout
from ft.conformance.subject import Subject
from ft.data.media import reader

WORDS = {"images": "image", "video": "video", "audio": "audio"}
"""Capability word → the type of a part of a message."""


def _refuses_images(subject: Subject) -> None:
    _refuses(subject, "images")


def _refuses_video(subject: Subject) -> None:
    _refuses(subject, "video")


def _refuses_audio(subject: Subject) -> None:
    _refuses(subject, "audio")


@check("model", needs="images", refuses=_refuses_images)
def images(subject: Subject) -> None:
    """An image gets exactly as many placeholders as it has features.

    Why: each placeholder gives its place in the sequence to one vector of the vision tower.
    One too few or too many moves every vector after it, or stops the run in its middle.

    Passes: in rows with one image, with two of different sizes, and without, the token of
    ``media_tokens["image_token"]`` stands as often as the model's ``get_image_features``
    gives vectors, and no placeholder is trained on. A family (or a model type of one) that
    does not accept ``images`` refuses a row with an image by an ``InputError``.

    Fails: a processor that counts before it resizes, or forgets that patches are merged; a
    family that drops the images of a row it cannot take.

    Example: ``a row with 2 of type image: 12 placeholders, and 13 features``.
    """
    _expands(subject, "images")


@check("model", needs="video", refuses=_refuses_video)
def video(subject: Subject) -> None:
    """A video gets exactly as many placeholders as it has features.

    Why: frames are sampled, and merged in time as well as in space, so that the count is
    easily off.

    Passes: in rows with one video and with two of different lengths, the token of
    ``media_tokens["video_token"]``, or that of images for frames, stands as often as the model's
    ``get_video_features`` gives vectors, and none is trained on. A family that does not accept
    ``video`` refuses such a row by an ``InputError``.

    Fails: a placeholder for each frame where two frames make one feature; a processor without
    its video part that passes the video over.

    Example: ``a row with 1 of type video: 8 placeholders, and 4 features``.
    """
    _expands(subject, "video")


@check("model", needs="audio", refuses=_refuses_audio)
def audio(subject: Subject) -> None:
    """An audio clip gets exactly as many placeholders as it has features.

    Why: clips are cut, strided and pooled; the last piece of each is where counts differ.

    Passes: in rows with one clip and with two of different lengths, the token of
    ``media_tokens["audio_token"]`` stands as often as the model's ``get_audio_features`` gives
    vectors, and none is trained on. A model without such a method takes these rows, and refuses
    them with one placeholder more. A family that does not accept ``audio`` refuses such a row
    by an ``InputError``.

    Fails: rounding up where the encoder rounds down; a clip that is dropped in silence.

    Example: ``a row with 2 of type audio: 25 placeholders, and 24 features``.
    """
    _expands(subject, "audio")


@check("model")
def media_training(subject: Subject) -> None:
    """Rows with media train: what is seen matters, and batches of it are right.

    Why: features that reach the wrong place, or a tower that is cut off from the loss, leave a
    model that learns from the text alone and answers as if it had looked.

    Passes: another medium of the same size changes the loss; a step on rows with media gives
    a gradient to weights that text gives none; rows of text and of media of different sizes
    give the same loss and gradients in one batch as one by one, and packed, unless the family
    refuses that with an ``InputError``; and four optimizer steps lower the loss. All of this after
    those steps, since a projector may start at zero.

    Fails: a tower under ``torch.no_grad()``; media of a batch in another order than their
    rows; features that are added to nothing.

    Example: ``image: no weight has a gradient that text alone would not give it``.
    """
    probe = tiny_run(subject)
    words = [w for w in WORDS if subject.support(w) == "full" and _takes(probe, WORDS[w])]
    if not words:
        raise Skip("its models neither see nor hear")
    for word in words:
        kind = WORDS[word]
        rows = Rows(_row(subject, probe, kind, sizes) for sizes in ((2, 1), (), (3,)))
        options = {"steps": 4, "batch_size": 3}
        run = tiny_run(subject, folder=word, rows=rows, trainer=options)
        losses = train(run)
        assert losses[-1] < losses[0], (
            f"{kind}: the loss went from {losses[0]:.3g} to {losses[-1]:.3g} in 4 steps"
        )
        # not before: a projector may well start at zero
        without_dropout(run)
        other = _row(subject, run, kind, (2, 1), seed=8)
        seen, unseen, odd = (gradients(run, [[row]]) for row in (rows[0], rows[1], other))
        assert seen[0] != odd[0], f"{kind}: another one of the same size changes nothing"
        moved, by_text = (
            {name for name, gradient in found.items() if gradient.any()}
            for found in (seen[1], unseen[1])
        )
        assert moved - by_text, (
            f"{kind}: no weight has a gradient that text alone would not give it"
        )
        apart = [[row] for row in rows]
        assert_same_step(run, [rows], apart, f"{kind}: rows in one batch against one by one")
        if subject.support("packing") == "full" and _packs(subject, kind):
            what = f"{kind}: rows in one sequence against one by one"
            assert_same_step(run, [[list(rows)]], apart, what)


def _packs(subject: Subject, kind: str) -> bool:
    """Whether a family that packs takes rows with a medium there, too; it may refuse them."""
    run = tiny_run(subject, folder="packed", trainer={"packing": True})
    try:
        _row(subject, run, kind, (1,))
    except InputError:
        return False
    return True


def _refuses(subject: Subject, word: str) -> None:
    """A row with a medium is refused, and so is a run that would bring such rows."""
    assert_refuses(subject, word)
    with refusal(f"a row with a medium of type {WORDS[word]}"):
        _row(subject, tiny_run(subject), WORDS[word], (1,), placeholder=False)


def _takes(run: Run, kind: str) -> bool:
    return reader(run.processor, kind) is not None


def _expands(subject: Subject, word: str) -> None:
    kind = WORDS[word]
    run = tiny_run(subject)
    if not _takes(run, kind):
        with refusal(f"a row with a medium of type {kind}"):
            _row(subject, run, kind, (1,), placeholder=False)
        raise Skip(f"{subject.model_type} takes none, and refuses a row with one")
    name = f"{kind}_token"
    assert name in run.family.media_tokens, (
        f"the family accepts {word}, and media_tokens does not name its {name}"
    )
    # frames of a video may stand as images do
    names = {name, "image_token"} if kind == "video" else {name}
    tokens = {
        run.tokenizer.convert_tokens_to_ids(token)
        for named, token in run.family.media_tokens.items()
        if named in names
    }
    run.model.eval()
    for sizes in ((1,), (3, 1), ()):
        row = _row(subject, run, kind, sizes)
        places = [i for i, id in enumerate(row.input_ids) if id in tokens]
        what = f"a row with {len(sizes)} of type {kind}"
        wanted = _features(run, kind, row) if sizes else 0
        if wanted is None:
            _assert_model_counts(run, row, places[0], what)
        else:
            found = len(places)
            assert found == wanted, f"{what}: {found} placeholders, and {wanted} features"
        assert not any(row.weights[i] for i in places), f"{what}: a placeholder is trained on"
        assert any(row.weights), f"{what}: nothing of it is trained on"


def _features(run: Run, kind: str, row: Encoded) -> int | None:
    """How many vectors the model makes of the media of a row; ``None`` where it cannot be asked."""
    import inspect

    import torch

    method = f"get_{kind}_features"
    # a head may hand on whatever it is given: the first that names what it takes is asked
    for module in run.model.modules():
        ask: Any = getattr(module, method, None)
        taken = row.media.keys() & inspect.signature(ask).parameters if ask else ()
        if taken:
            break
    else:
        return None
    if "kwargs" in inspect.signature(ask).parameters:  # what the forward pass hands on that way
        taken |= row.media.keys() & inspect.signature(module.forward).parameters
    with torch.no_grad():
        found = ask(**{name: row.media[name] for name in taken})
    # clips of several lengths come padded, with what is none of them said beside
    real = getattr(found, "attention_mask", None)
    if real is not None:
        return int(real.sum())
    pooled = getattr(found, "pooler_output", found)
    found = found.last_hidden_state if pooled is None else pooled
    each = found if isinstance(found, list | tuple) else [found]
    return sum(features.numel() // features.shape[-1] for features in each)


def _assert_model_counts(run: Run, row: Encoded, place: int, what: str) -> None:
    """The model takes a row as it is, and refuses it with one placeholder more."""

    def doubled(values: Sequence[Any]) -> list[Any]:
        return [*values[:place], values[place], *values[place:]]

    columns: dict[str, Sequence[int]] = {n: doubled(values) for n, values in row.per_token.items()}
    longer = Encoded(doubled(row.input_ids), doubled(row.weights), columns, row.media)
    gradients(run, [[row]])
    try:
        gradients(run, [[longer]])
    # how a model says so is its own affair
    except Exception:
        return
    raise AssertionError(f"{what}: the model takes one placeholder too many")


def _row(
    subject: Subject,
    run: Run,
    kind: str,
    sizes: tuple[int, ...],
    seed: int = 7,
    placeholder: bool = True,
) -> Encoded:
    """A row with a medium of each size, trained on its answer.

    With a template of the family's own the text is what that renders. Otherwise the medium
    stands for itself, by what the processor calls its ``placeholder``.
    """
    media = [Part(kind, source=source) for source in _media(kind, sizes, seed)]  # type: ignore[arg-type]
    if placeholder and "template" in subject.companions:
        turns = [Message("user", [*media, Part("text", "Look.")]), Message("assistant", "A dog.")]
        return run.tokenize([run.render(Conversation(messages=turns))])[0]
    token = getattr(run.processor, f"{kind}_token", "") if placeholder else ""
    text, answer = " ".join([token] * len(media)) + " Look.", " A dog."
    spans = [(len(text), len(text + answer), 1.0)]
    return run.tokenize([Rendered(text + answer, spans, media)])[0]


def _media(kind: str, sizes: tuple[int, ...], seed: int) -> Iterator[Any]:
    """Noise of different sizes: images, arrays of frames, arrays of samples."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for size in sizes:
        if kind == "audio":
            yield generator.uniform(-1, 1, 400 * size).astype(np.float32)
            continue
        shape = (16 * size, 24 * size, 3)
        if kind == "video":
            yield generator.integers(0, 256, (2 * size, *shape), dtype=np.uint8)
            continue
        try:
            from PIL import Image
        except ImportError:
            raise NotRun("Pillow is not installed: no image can be made") from None
        yield Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))
