"""Model families: their checkpoints come back as they were."""

from __future__ import annotations

from typing import Any

from ft.conformance.bench import logits, refusal, save, tiny_run, train
from ft.conformance.check import Skip, check
from ft.conformance.models import assert_same_state, of_type
from ft.conformance.subject import Subject
from ft.conformance.tiny import write_tiny


@check("model")
def saves_and_loads(subject: Subject) -> None:
    """A trained model comes back from its folder bit for bit.

    Why: what is served is what was saved, not what was trained.

    Passes: after one step the result is saved and loaded as ``ft`` does it, and both have the
    same tensors under the same names and give the same logits, bit for bit.

    Fails: a weight that is stored under a name which loading does not know; weights stored in
    lower precision; a change to the loaded weights that is made again at each load.

    Example: ``after saving and loading: 1 of 21 tensors differ, such as norm.weight``.
    """
    run = tiny_run(subject, trainer={"steps": 1})
    train(run)
    folder = save(run)
    loaded: Any = run.load_result()
    what = f"after saving to {folder.name} and loading"
    assert_same_state(loaded, run.model, what)
    assert logits(loaded).equal(logits(run.model)), f"{what}: the logits differ"


@check("model")
def shards(subject: Subject) -> None:
    """A checkpoint of several files loads as one of one file does.

    Why: large checkpoints are published in shards. A family with loading code of its own that
    reads one file of them trains on weights of which most are random.

    Passes: the small model, saved with a small ``max_shard_size``, lies in several files; the
    family loads it with the same tensors and logits, bit for bit.

    Fails: loading that takes the first file, or looks for ``model.safetensors`` only.

    Example: ``loaded from 6 files: 12 of 21 tensors differ, such as lm_head.weight``.
    """
    run = tiny_run(subject)
    folder = subject.folder / "shards"
    model: Any = run.model
    model.save_pretrained(folder, max_shard_size="100KB")
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 1, "save_pretrained ignores max_shard_size: it wrote one file"
    loaded = run.load_base(folder)
    what = f"loaded from {len(files)} files"
    assert_same_state(loaded, model, what)
    assert logits(loaded).equal(logits(model)), f"{what}: the logits differ"


@check("model")
def tied_weights(subject: Subject) -> None:
    """Tied embeddings are one tensor, also after saving and loading.

    Why: a checkpoint with tied embeddings stores them once. Loaded without the tie, the output
    layer starts at random; loaded as a copy, the two drift apart in training.

    Passes: with ``tie_word_embeddings`` in the configuration, input and output embeddings of
    the loaded model share their memory, still do after one step of training, a save and a
    load, and the logits are the same bit for bit.

    Fails: loading code that reads weights without ``tie_weights()``; an output layer that is
    replaced after loading.

    Example: ``the configuration ties the embeddings, and the loaded model has two tensors``.
    """
    family: Any = subject.plugin
    config = family.tiny_config(subject.model_type)
    holders = [c for c in (config, config.get_text_config()) if hasattr(c, "tie_word_embeddings")]
    can_tie = getattr(tiny_run(subject, folder="probe").model, "_tied_weights_keys", None)
    if not holders or not can_tie:
        raise Skip("its embeddings are never tied")
    for holder in holders:
        holder.tie_word_embeddings = True
    try:
        config.validate()
    except Exception as error:
        raise Skip("its configuration refuses tied embeddings") from error
    tied = of_type(subject, subject.model_type, subject.folder / "tied")
    template: Any = subject.partner("template")
    write_tiny(tied.folder / "model", family, subject.model_type, template, config)
    run = tiny_run(tied, trainer={"steps": 1})
    _assert_tied(run.model, "the configuration ties the embeddings, and the loaded model")
    train(run)
    _assert_tied(run.model, "the embeddings were tied, and after a step the model")
    save(run)
    loaded: Any = run.load_result()
    _assert_tied(loaded, "the embeddings were tied, and after saving and loading the model")
    assert logits(loaded).equal(logits(run.model)), "after saving and loading the logits differ"


def _assert_tied(model: Any, what: str) -> None:
    one, other = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert one.data_ptr() == other.data_ptr(), f"{what} has two tensors"


@check("model")
def fresh_weights(subject: Subject) -> None:
    """Random weights are fresh, follow the seed, and nothing else does.

    Why: ``model.random_weights: true`` starts pre-training from scratch. A family that loads
    the checkpoint all the same trains something else than the user believes.

    Passes: from a folder with a configuration and no weights the model builds; from the
    checkpoint it builds with other weights than those; the same seed gives the same weights,
    and another seed others.

    Fails: loading code that never asks ``run.random_weights``; weights that are left
    uninitialized.

    Example: ``random_weights gives the weights of the checkpoint``.
    """
    import torch

    folder = tiny_run(subject).model_folder
    trained = tiny_run(subject).model.state_dict()
    for file in folder.glob("*.safetensors*"):
        file.rename(subject.folder / file.name)
    family = subject.bind(random_weights=True)
    built: list[dict[str, Any]] = []
    for seed, back in ((1, False), (1, True), (2, True)):
        if back:
            for file in subject.folder.glob("*.safetensors*"):
                file.rename(folder / file.name)
        torch.manual_seed(seed)
        run = tiny_run(subject, folder=f"seed-{len(built)}", seed=seed, model=family)
        built.append({name: p.detach().clone() for name, p in run.model.named_parameters()})
    name = max(built[0], key=lambda name: built[0][name].numel())
    assert all(torch.isfinite(p).all() for p in built[0].values()), "fresh weights are not finite"
    assert not built[1][name].equal(trained[name]), (
        "random_weights gives the weights of the checkpoint"
    )
    assert built[0][name].equal(built[1][name]), "the same seed gives other fresh weights"
    assert not built[0][name].equal(built[2][name]), "another seed gives the same fresh weights"


@check("model")
def missing_weights(subject: Subject) -> None:
    """Missing weights are never made up in silence.

    Why: a model whose weights were not downloaded, or not all of them, trains like any other
    and ends far worse, and nobody knows why.

    Passes: a folder with a configuration and no weights is refused with an ``InputError``;
    where a single tensor is missing, the family refuses, or warns through ``run.progress`` by
    the tensor's name.

    Fails: building a fresh model where no file is found; ``load_state_dict(strict=False)``
    whose result nobody looks at.

    Example: ``the checkpoint lacks layers.1.up_proj.weight, and loading it says nothing``.
    """
    from safetensors.torch import load_file, save_file

    from ft.api import InputError

    run = tiny_run(subject)
    progress: Any = run.progress
    file = run.model_folder / "model.safetensors"
    tensors = load_file(file)
    # one of a decoder layer: embeddings and output layer may be tied, and so not be stored
    name = max((n for n in tensors if tensors[n].ndim == 2), key=_layer_number)
    save_file({n: t for n, t in tensors.items() if n != name}, file, {"format": "pt"})
    progress.lines.clear()
    try:
        run.load_base()
    except InputError:
        pass
    else:
        said = " ".join(progress.lines)
        tail = ".".join(name.rsplit(".", 2)[-2:])
        assert tail in said, f"the checkpoint lacks {name}, and loading it says {said or 'nothing'}"
    file.unlink()
    with refusal("a folder without weights"):
        run.load_base()


def _layer_number(name: str) -> tuple[int, str]:
    return max((int(part) for part in name.split(".") if part.isdigit()), default=-1), name
