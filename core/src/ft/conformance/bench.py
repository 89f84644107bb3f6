"""Runs on tiny models, made for a check: what they train, save and compute.

A run is put together from plugin objects as the pipeline does it, without a recipe: the
plugin under test in its place, reference plugins in the others.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    Encoded,
    Example,
    InputError,
    ModelFamily,
    Plugin,
    Prequantized,
    Progress,
    Run,
)
from ft.conformance.examples import examples_of
from ft.conformance.subject import Subject
from ft.conformance.tiny import write_tiny
from ft.data.pack import pack
from ft.data.prepare import encode_examples
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import adapt, load_config, load_processor
from ft.pipeline.run import start_process
from ft.pipeline.run import train as train_steps
from ft.pipeline.save import save_modules
from ft.plugins.selection import Selection
from ft.training.evaluate import result_weights

if TYPE_CHECKING:
    from torch import Tensor

TRAINER = {"steps": 8, "batch_size": 4, "precision": "float32", "max_length": 256}
"""Options of the trainer, unless a check or the plugin's sample says otherwise."""
LEARNING_RATE = 1e-2


class Told(Progress):
    """Keeps what a run says and warns of."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


class Rows(list):
    """Encoded rows, or packs of them, as data preparation leaves them."""

    @property
    def lengths(self) -> list[int]:
        return [len(r) if isinstance(r, Encoded) else sum(map(len, r)) for r in self]


def random_rows(
    count: int = 8, prompt: int = 4, seed: int = 1, vocabulary: int = 250, length: int = 12
) -> Rows:
    """Rows of ``length`` and more random ids; the first ``prompt`` of each are not trained on."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    rows = Rows()
    for number in range(count):
        ids = torch.randint(3, vocabulary, (length + number,), generator=generator).tolist()
        rows.append(Encoded(ids, [0.0] * prompt + [1.0] * (len(ids) - prompt)))
    return rows


def packed(rows: Sequence[Encoded], max_length: int = 64) -> Rows:
    """The same rows joined into packs."""
    return Rows([rows[i] for i in group] for group in pack([len(r) for r in rows], max_length))


def tiny_run(
    subject: Subject,
    *,
    folder: str = "run",
    rows: Any = None,
    examples: Sequence[Example] | None = None,
    trainer: Mapping[str, Any] | None = None,
    adapter: bool | Plugin = False,
    device: str = "cpu",
    seed: int = 42,
    **parts: Plugin | None,
) -> Run:
    """A run that is ready to train: model loaded and adapted, data in place.

    The subject stands in the place of its kind; beside it the model, the template, the
    optimizer and the trainer of the reference, with ``adapter`` its adapter too, or the bound
    one that it is (without one the whole model trains). ``parts`` are further bound plugins by
    kind, which replace those; ``None`` leaves a kind out. ``trainer`` are options of the trainer.

    The data is ``rows`` if given, else ``examples`` as the trainer encodes them, else random
    rows; a trainer under test gets examples of the first type that it takes.
    """
    from ft.conformance.reference import REFERENCES

    family = subject.partner("model")
    model_type = subject.model_type or family.model_types[0]  # type: ignore[attr-defined]
    template = subject.partner("template")
    chosen: dict[str, Plugin | None] = {
        "trainer": _bound(subject, "trainer", {**TRAINER, **(trainer or {})}),
        "optimizer": _bound(subject, "optimizer", {"learning_rate": LEARNING_RATE}),
        "template": _bound(subject, "template", {}),
        "model": subject.bind() if subject.kind == "model" else family.bind(model_type),
    }
    if adapter:
        reference = REFERENCES["adapter"].bind("reference")
        chosen["adapter"] = adapter if isinstance(adapter, Plugin) else reference
    if subject.kind not in chosen and subject.kind != "dataset":
        chosen[subject.kind] = subject.bind()
    chosen |= parts
    selection = Selection([part for part in chosen.values() if part is not None], DEFAULTS)
    run = Run(selection, folder=subject.folder / folder, source="tiny", seed=seed, progress=Told())
    run.folder.mkdir(exist_ok=True, parents=True)
    run.model_folder = subject.folder / "model"
    if not run.model_folder.exists():
        write_tiny(run.model_folder, family, model_type, template)  # type: ignore[arg-type]
    run.model_folder = in_form_of(run.part("quantizer"), run)
    start_process(run, device)
    load_config(run)
    load_processor(run)
    if rows is None and (examples is not None or subject.kind == "trainer"):
        learnt = run.part("trainer")
        rows = encode_examples(run, examples or examples_of(learnt.takes[0]))
    run.data = random_rows() if rows is None else rows
    adapt(run)
    return run


def in_form_of(quantizer: Plugin | None, run: Run) -> Path:
    """The checkpoint of a run, for a quantizer of quantized ones written once more in its form."""
    source = run.model_folder
    if not isinstance(quantizer, Prequantized):
        return source
    target = source.with_name(f"{source.name}-{quantizer.name}")
    if not target.exists():
        plain = Run(Selection([run.family], DEFAULTS), folder=run.folder, progress=Told())
        plain.model_folder = source
        start_process(plain, "cpu")
        load_config(plain)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors"))
        quantizer.write(plain.load_base(), target)
    return target


def reference_family(**sizes: Any) -> ModelFamily:
    """The reference family with a tiny model of other sizes, by the names of its configuration.

    Given to a subject as companion (``companions={"model": …}``), it is the base of its runs.
    """
    from ft.conformance.reference.model import Family
    from ft.conformance.reference.modeling import ReferenceConfig

    class Sized(Family):
        """The same architecture in these sizes."""

        def tiny_config(self, model_type: str) -> Any:
            return ReferenceConfig(**sizes)

    return Sized("Reference", "ft", ("ft-reference",), accepts=("packing",))


def _bound(subject: Subject, kind: str, options: Mapping[str, Any]) -> Plugin:
    """The plugin of a kind with these options, those of the subject's sample before them."""
    if kind == subject.kind:
        return subject.bind(**{k: v for k, v in options.items() if k not in subject.sample})
    partner = subject.partner(kind)
    return partner.bind(partner.name or "reference", options)


def train(run: Run, resume: Path | None = None) -> list[float]:
    """Train to the end; returns the loss of each step."""
    train_steps(run, resume)
    return [line["loss"] for line in run.state.history if "loss" in line]


def save(run: Run, folder: str = "result") -> Path:
    """Save the result as the pipeline does, without a tokenizer; returns its folder."""
    target = run.folder / folder
    target.mkdir(exist_ok=True)
    with result_weights(run):
        run.hook.ft_finish_model(run=run, model=run.model)
        run.hook.ft_save_model(run=run, model=run.model, folder=target)
        save_modules(run, target)
    return target


def weights(run: Run) -> dict[str, Tensor]:
    """Copies of all parameters of a run, those beside the model included."""
    return {name: p.detach().clone() for name, p in run._parameters()}


def changed(run: Run, before: Mapping[str, Tensor]) -> set[str]:
    """The names of the parameters that differ from ``before``."""
    return {name for name, p in run._parameters() if not p.equal(before[name])}


def logits(model: Any) -> Tensor:
    """What a model makes of a fixed sequence, in evaluation mode; shape (1, 16, vocabulary)."""
    import torch

    training = model.training
    model.eval()
    with torch.no_grad():
        ids = torch.arange(3, 19, device=next(model.parameters()).device)[None]
        found = model(input_ids=ids, use_cache=False).logits
    model.train(training)
    return found.float()


def difference(one: Tensor, other: Tensor) -> float:
    """The root mean square of the difference over that of ``other``."""
    return float((one - other).square().mean().sqrt() / other.square().mean().sqrt())


def gradients(run: Run, batches: Sequence[Sequence[Any]]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one step that is cut into micro batches of encoded rows.

    The loss is the mean over the units of the step, as the loop takes it.
    """
    from ft.training.batches import updates_of
    from ft.training.losses import compute_loss

    run.model.train()
    collated = [run.to_device(run.collate(list(rows))) for rows in batches]
    micro = [one for update in updates_of(run, run.model, collated) for one in update]
    units = sum(one.units for one in micro)
    total = 0.0
    for one in micro:
        loss = compute_loss(run, run.model, one.batch, one.units).total / units
        loss.backward()
        total += float(loss.detach())
    found = {name: p.grad.clone() for name, p in run.trainable() if p.grad is not None}
    for _, parameter in run.trainable():
        parameter.grad = None
    return total, found


def assert_close(
    one: Any, other: Any, what: str, *, rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    """Raise with what differs, and by how much, where two tensors or numbers do."""
    import torch

    try:
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol, check_dtype=False)
    except AssertionError as error:
        first = str(error).strip().splitlines()
        raise AssertionError(f"{what}: {' '.join(line.strip() for line in first[:4])}") from None


def assert_resumes(make_run: Callable[[str], Run], step: int) -> None:
    """A run that goes on from its checkpoint at ``step`` ends as if nothing had happened.

    ``make_run`` makes a run in a folder of that name; its trainer saves at ``step`` and keeps
    that checkpoint.
    """
    whole = make_run("whole")
    train(whole)
    again = make_run("again")
    losses = train(again, whole.folder / "checkpoints" / f"step-{step:06d}")
    assert again.state.step == whole.state.step > step, (
        f"the resumed run ended at step {again.state.step}, the whole one at {whole.state.step}"
    )
    expected = [line["loss"] for line in whole.state.history if "loss" in line]
    assert losses == expected, (
        f"after resuming at step {step} the losses are {losses}, and without a stop {expected}"
    )
    differing = changed(again, weights(whole))
    assert not differing, f"after resuming at step {step} other weights came out: {some(differing)}"


def some(names: Any, most: int = 3) -> str:
    """The first few of some names, for a message."""
    listed = sorted(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


@contextmanager
def refusal(what: str) -> Any:
    """The body asks for what the plugin does not have; it must refuse with an ft error.

    The error has to be an :class:`ft.api.InputError` with a message of more than one word.
    """
    try:
        yield
    except InputError as error:
        if len(error.message.split()) < 3:
            raise AssertionError(f"{what}: the refusal says only {error.message!r}") from error
    except Exception as error:
        raise AssertionError(
            f"{what}: asking for it fails with {type(error).__name__} ({error}) rather than with "
            "an ft.api.InputError that says so"
        ) from error
    else:
        raise AssertionError(f"{what}: the plugin does not have it, and does not refuse either")


def assert_refuses(subject: Subject, word: str) -> None:
    """A run that has a feature which the plugin does not accept is refused before it starts.

    The feature is brought by a stand-in of a kind that no part of the run has.
    """
    from ft.api import Tracker
    from ft.recipe.fit import misfits

    class Brings(Tracker):
        """Brings a feature and does nothing."""

        provides = frozenset({word})

    found = misfits([subject.bind(), Brings().bind("feature")])
    said = [m for m in found if m.capability == word and subject.kind in m.sentence]
    assert said, f"ft check would let a run with {word} begin, which {subject} does not accept"
