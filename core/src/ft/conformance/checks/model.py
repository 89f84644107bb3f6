"""Model families: the architecture builds, and has what the family declares."""

from __future__ import annotations

from typing import Any

from ft.api import ModelFamily
from ft.conformance.bench import logits, some, tiny_run
from ft.conformance.check import Skip, check
from ft.conformance.models import of_type
from ft.conformance.subject import Subject

LARGEST = 1_000_000
"""Parameters that a test model may have."""


@check("model")
def builds(subject: Subject) -> None:
    """A small model builds, and its parts agree on the vocabulary.

    Why: every other check stands on the small model of ``tiny_config``, and adapters, trainers
    and losses find embeddings and output layer by the methods that transformers has for that.

    Passes: ``tiny_config`` gives a configuration of the declared model type (of that of the
    family's own class, which may load a part of a larger model), which loads again from the
    checkpoint; the model has less than a million parameters, all finite;
    ``get_input_embeddings`` and ``get_output_embeddings`` find both layers; each has a row for
    every token of the tokenizer, which says where in the text a token came from.

    Fails: a configuration of another type; a model of published size; an output layer that
    only the forward pass knows of; a tokenizer with more tokens than the embeddings have rows.

    Example: ``the tokenizer has 515 tokens and the input embeddings 512 rows``.
    """
    import torch

    run = tiny_run(subject)
    model: Any = run.model
    own = run.family.classes(str(subject.model_type))
    wanted, found = own[0].model_type if own else subject.model_type, run.config.model_type
    assert found == wanted, (
        f"tiny_config({subject.model_type!r}) gives a configuration of type {found!r}"
    )
    size = sum(parameter.numel() for parameter in model.parameters())
    assert size < LARGEST, f"the small model has {size:,} parameters, and may have {LARGEST:,}"
    odd = [name for name, p in model.named_parameters() if not torch.isfinite(p).all()]
    assert not odd, f"not every number is finite in the fresh weights of {some(odd)}"
    tokens = max([len(run.tokenizer), *(i + 1 for i in run.tokenizer.all_special_ids)])
    for what in ("input", "output"):
        layer = getattr(model, f"get_{what}_embeddings")()
        assert layer is not None, f"get_{what}_embeddings() finds no layer"
        rows = layer.weight.shape[0]
        assert rows >= tokens, (
            f"the tokenizer has {tokens} tokens and the {what} embeddings {rows} rows"
        )
    assert run.tokenizer.is_fast, "the tokenizer does not say which text a token came from"
    width = logits(model).shape[-1]
    assert width == rows, f"the model gives {width} logits and its output layer has {rows} rows"


@check("model", needs="linear-layers")
def linear_layers(subject: Subject) -> None:
    """The model has linear layers that an adapter can wrap.

    Why: a family that provides ``linear-layers`` promises LoRA and its kin something to work
    on. They look for modules of torch's ``Linear`` (or transformers' ``Conv1D``) outside of
    the output layer, and in the part ``language`` where the family declares that.

    Passes: there is at least one such layer in ``language``, or outside of every part; its
    weights are used by the forward pass.

    Fails: weights that are plain parameters, multiplied by hand; a group ``language`` whose
    prefix no layer is under.

    Example: ``no linear layer outside of the output layer: an adapter has nothing to wrap``.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    run = tiny_run(subject)
    model: Any = run.model
    head = model.get_output_embeddings()
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    ]
    assert linear, "no linear layer outside of the output layer: an adapter has nothing to wrap"
    chosen = [name for name in linear if run.family.group_of(name) in ("language", None)]
    assert chosen, (
        "no linear layer lies in the part 'language' or outside of all parts, where adapters look "
        f"unless they are told otherwise; {some(linear, 1)} lie elsewhere"
    )
    used: set[str] = set()
    for name, module in model.named_modules():
        if name in chosen:
            module.register_forward_hook(lambda *_, name=name: used.add(name))
    logits(model)
    assert used, f"the forward pass calls no linear layer, {some(chosen, 1)} for one"


@check("model", needs="decoder-layers")
def decoder_layers(subject: Subject) -> None:
    """The decoder layers are a list of one class.

    Why: methods that train some layers, add some or take some out find them as a list, and
    treat all of it alike.

    Passes: the model has a ``ModuleList`` with as many modules as the configuration has
    ``num_hidden_layers``, all of one class.

    Fails: layers under names of their own; an embedding or a norm among them.

    Example: ``no ModuleList holds 2 layers of one class (those there are: layers: Layer,
    OtherLayer)``.
    """
    from torch import nn

    run = tiny_run(subject)
    count = run.config.get_text_config().num_hidden_layers
    lists = {n: m for n, m in run.model.named_modules() if isinstance(m, nn.ModuleList)}
    classes = {n: [type(layer).__name__ for layer in m] for n, m in lists.items()}
    found = [n for n, names in classes.items() if len(names) == count and len(set(names)) == 1]
    listed = "; ".join(f"{n}: {', '.join(dict.fromkeys(names))}" for n, names in classes.items())
    assert found, f"no ModuleList holds {count} layers of one class (those there are: {listed})"


@check("model")
def fused_experts(subject: Subject) -> None:
    """Every declared expert tensor exists, and every expert tensor is declared.

    Why: experts in one tensor are no linear layers, so adapters find them by the names in
    ``fused_experts`` alone. A name that fits nothing is passed over without a word, and what
    is not declared is never trained.

    Passes: each name is the end of a 3-dimensional parameter's name in at least one of the
    family's model types, and in this one all such parameters outside of convolutions are
    declared. One whose first dimension is 1 holds none, nor does one of another part than
    ``language``: the positions of a vision tower.

    Fails: a name from an older release of transformers; a family that declares one of two.

    Example: ``fused_experts has 'mlp.experts.w1', and no model type of the family has a
    3-dimensional parameter of that name``.
    """
    run = tiny_run(subject)
    family = run.family
    here = _expert_tensors(family, run.model)
    undeclared = [
        n for n in here if not f".{n}".endswith(tuple(f".{e}" for e in family.fused_experts))
    ]
    assert not undeclared, f"{some(undeclared)} of 3 dimensions: fused_experts does not name it"
    if not family.fused_experts:
        raise Skip("it declares no fused experts, and has none")
    names = [f".{name}" for name in here]
    for number, model_type in enumerate(family.model_types):
        if model_type != subject.model_type:
            other = tiny_run(of_type(subject, model_type, subject.folder / f"{number}")).model
            names += [f".{name}" for name in _expert_tensors(family, other)]
    for expert in family.fused_experts:
        assert any(name.endswith(f".{expert}") for name in names), (
            f"fused_experts has {expert!r}, and no model type of the family has a 3-dimensional "
            "parameter of that name"
        )


def _expert_tensors(family: ModelFamily, model: Any) -> list[str]:
    convolutions = tuple(n for n, m in model.named_modules() if "Conv" in type(m).__name__)
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 3
        and parameter.shape[0] > 1
        and family.group_of(name) in ("language", None)
        and name.rpartition(".")[0] not in convolutions
    ]


@check("model")
def groups(subject: Subject) -> None:
    """The parts that can be frozen cover the model, and none shares its prefix with another.

    Why: with parts, a recipe says what trains: "the projector", "all but the vision tower". A
    parameter in no part is frozen or trained against what the user asked for.

    Passes: every parameter outside of the output layer belongs to a part; no two parts have
    the same prefix (one inside another is fine: the longest wins); every part has a parameter
    in at least one of the family's model types. A model type that has none of the parts at
    all, such as the text model of a family that sees, is not looked at.

    Fails: a projector that was forgotten; a prefix with a letter too few; two names for one
    part.

    Example: ``no part has model.projector.weight; the parts: vision, language``.
    """
    family: Any = subject.plugin
    if not family.groups:
        raise Skip("it declares no parts")
    twice = [
        g for g, prefix in family.groups.items() if [*family.groups.values()].count(prefix) > 1
    ]
    assert not twice, f"{' and '.join(twice)} have the same prefix {family.groups[twice[0]]!r}"
    found: dict[str, list[str]] = {}
    for number, model_type in enumerate(family.model_types or (subject.model_type,)):
        model = tiny_run(of_type(subject, model_type, subject.folder / f"{number}")).model
        found[model_type] = _outside_the_head(model)
    filled = {family.group_of(name) for names in found.values() for name in names}
    empty = sorted(family.groups.keys() - filled)
    assert not empty, (
        f"no parameter of any model type lies in the part {empty[0]!r} "
        f"({family.groups[empty[0]]}), nearest: {some(found[subject.model_type], 1)}"
    )
    names = found[subject.model_type]
    outside = [name for name in names if family.group_of(name) is None]
    if len(outside) == len(names):
        raise Skip(f"{subject.model_type} has none of the parts")
    assert not outside, f"no part has {some(outside)}; the parts: {', '.join(family.groups)}"


def _outside_the_head(model: Any) -> list[str]:
    head = model.get_output_embeddings()
    own = {id(p) for p in head.parameters()} if head is not None else set()
    tied = {id(p) for p in model.get_input_embeddings().parameters()}
    return [n for n, p in model.named_parameters() if id(p) not in own - tied]
