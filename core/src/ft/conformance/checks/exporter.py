"""Exporters: the trained model in another form, and the run left alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ft.api import Adapter, InputError, Run, hookimpl
from ft.conformance.around import export, exported, trained_run
from ft.conformance.bench import assert_refuses, difference, logits, some
from ft.conformance.check import NotRun, Skip, check
from ft.conformance.subject import Subject
from ft.recipe.infer import quantization_of, read_config

LOSSY = 0.1
"""The largest part of what training changed that an export may be off."""


@check("exporter")
def writes_into_its_folder(subject: Subject) -> None:
    """What is written lies in the given folder, and the returned path leads there.

    Why: core hands over a folder that becomes the result when it is complete, and prints the
    path for whatever serves the model.

    Passes: ``ft_export`` returns the folder or a path inside it that exists, and there is a
    file in it.

    Fails: a path below the run folder; a relative path; ``None``.

    Example: ``ft_export returns run/merged, which is not inside out``.
    """
    folder = subject.folder / "out"
    path = exported_path(subject, trained_run(subject), folder)
    assert isinstance(path, Path), f"ft_export returns {path!r} rather than a path"
    assert path == folder or folder in path.parents, (
        f"ft_export returns {path}, which is not inside {folder}"
    )
    assert path.exists(), f"ft_export returns {path}, and nothing is there"
    assert any(found.is_file() for found in folder.rglob("*")), "ft_export writes no file"


@check("exporter")
def holds_what_was_trained(subject: Subject) -> None:
    """The exported model computes what the trained one does.

    Why: an export that leaves the adapter out, or scales it wrongly, answers fluently and is
    the base model.

    Passes: loaded from the folder alone, the model's logits are off from the trained ones by
    at most a tenth of what training changed. This is tried where a checkpoint with a
    ``config.json`` is written; how far other forms are off is for the exporter's own tests.

    Fails: the base without the adapter; an adapter that is merged twice; weights in the wrong
    order.

    Example: ``the exported logits are off by 0.71; training moved them by 0.71``.
    """
    run = trained_run(subject)
    assert_holds(subject, run, logits(run.load_base()))


@check("exporter")
def leaves_the_run_as_it_is(subject: Subject) -> None:
    """The run folder and the base checkpoint are not touched.

    Why: a result is exported in several forms, and trained further afterwards.

    Passes: all files of the run folder and of the base model's folder hold the same bytes
    after an export, and none is new.

    Fails: an adapter that is merged into the result itself; a file that is left in the run
    folder.

    Example: ``exporting changes 1 files of the run: result/update.safetensors``.
    """
    run = trained_run(subject)
    before = digests(run)
    exported_path(subject, run, subject.folder / "out")
    after = digests(run)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not changed, f"exporting changes {len(changed)} files of the run: {some(changed)}"


def refuses_changed_architecture(subject: Subject) -> None:
    """A run whose method changes the architecture is refused."""
    assert_refuses(subject, "changed-architecture")


@check("exporter", needs="changed-architecture", refuses=refuses_changed_architecture)
def takes_another_architecture(subject: Subject) -> None:
    """A result with other layers than its base is exported with them.

    Why: a method that adds layers saves a whole model with its own configuration. An exporter
    that takes the base's configuration drops them without a word.

    Passes: a model that got one more layer is exported, and loaded from the folder it has that
    layer and computes what the trained one does. An exporter that does not accept
    ``changed-architecture`` is refused by the recipe's check instead.

    Fails: a configuration that is copied from the base checkpoint.

    Example: ``the exported model has 2 layers, and 3 were trained``.
    """
    run = trained_run(subject, adapter=False, method=OneMore().bind("one-more"))
    assert_holds(subject, run, logits(run.load_base()))


class OneMore(Adapter):
    """A copy of the last layer after it, which trains alone; saved as a whole model."""

    provides = frozenset({"changed-architecture"})

    @hookimpl
    def ft_adapt_model(self, model: Any) -> Any:
        import copy

        model.requires_grad_(False)
        new = copy.deepcopy(model.layers[-1]).requires_grad_(True)
        new.attention.number = len(model.layers)
        model.layers.append(new)
        model.config.num_hidden_layers = len(model.layers)
        return model


def exported_path(subject: Subject, run: Run, folder: Path) -> Any:
    """What ``ft_export`` returns; an exporter that is for other models cannot be tried here."""
    try:
        return export(run, folder)
    except InputError as error:
        raise NotRun(f"it refuses the kit's model: {error.message}") from error


def assert_holds(subject: Subject, run: Run, base: Any) -> None:
    """Export, load again and compare with what was trained, as the base's logits are off it."""
    folder = subject.folder / "out"
    exported_path(subject, run, folder)
    if not (folder / "config.json").is_file():
        raise Skip("it writes another form than a checkpoint with a config.json")
    if quantization_of(read_config(folder, str(folder))):
        raise Skip("it writes quantized weights, which are off by what rounding loses")
    model: Any = exported(run, folder)
    trained: Any = run.model
    found, wanted = model.config.num_hidden_layers, trained.config.num_hidden_layers
    assert found == wanted, f"the exported model has {found} layers, and {wanted} were trained"
    moved, off = difference(base, logits(trained)), difference(logits(model), logits(trained))
    subject.measure("off_by", off)
    assert off <= LOSSY * moved, (
        f"the exported logits are off by {off:.3g}; training moved them by {moved:.3g}"
    )


def digests(run: Run) -> dict[str, str]:
    """SHA-256 of each file of the run folder and of the base checkpoint."""
    return {
        str(path.relative_to(folder.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (run.folder, run.model_folder)
        for path in folder.rglob("*")
        if path.is_file()
    }
