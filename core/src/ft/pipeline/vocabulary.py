"""New tokens: the tokenizer and the embeddings grow by what a recipe names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run

if TYPE_CHECKING:
    from torch import Tensor, nn

NOISE = 0.1
"""Spread of an undescribed token's start around the mean, in that of the known embeddings."""


def grow_tokenizer(run: Run) -> None:
    """Add the tokens of ``model.new_tokens``, and note their ids in ``run.new_tokens``.

    In alphabetical order, so that the order in a recipe makes no difference. Raises
    :class:`InputError` for one that the vocabulary has: it means something already.
    """
    from tokenizers import AddedToken

    options, tokenizer = run.family.options, run.tokenizer
    known = tokenizer.get_vocab()
    new = sorted(options.new_tokens)
    for text in new:
        if not text.strip() or text in known:
            why = "is in the vocabulary already" if text.strip() else "is no text"
            raise InputError(f"model.new_tokens: {text!r} {why}", hint="leave it out")
    special = options.new_tokens_special
    tokenizer.add_tokens(
        [AddedToken(text, special=special, normalized=False) for text in new],
        special_tokens=special,
    )
    run.new_tokens = {text: tokenizer.convert_tokens_to_ids(text) for text in new}


def grow_embeddings(run: Run, model: Any) -> None:
    """Make room for the new tokens in the embeddings and the output layer; start their rows.

    A described token starts as the mean over the tokens of its description, any other at the
    mean of all known ones with a little noise. Both matrices do so, an output layer's bias too.
    What is drawn depends on the run's seed alone: every process, and every copy of the base
    that is loaded, has the same rows.
    """
    import torch

    new = run.new_tokens.values()
    multiple = run.family.options.vocabulary_multiple or 1
    rows = model.get_input_embeddings().weight.shape[0]
    size = -(-max([rows, *(id + 1 for id in new)]) // multiple) * multiple
    if size > rows:
        try:
            model.resize_token_embeddings(size, mean_resizing=False)
        except (NotImplementedError, AttributeError, ValueError) as error:
            raise InputError(f"the vocabulary of this model cannot grow: {error}") from error
    known = min([rows, *new])
    described = dict(_descriptions(run, known))
    generator = torch.Generator().manual_seed(run.seed)
    with torch.no_grad():
        for weight in _matrices(model):
            own = weight[:known].float()
            mean, spread = own.mean(0), own.std(0)
            for id in sorted({*new, *range(rows, size)}):
                if id in described:
                    weight[id] = own[described[id]].mean(0).to(weight.dtype)
                    continue
                noise = torch.randn(mean.shape, generator=generator).to(mean.device)
                weight[id] = (mean + NOISE * spread * noise).to(weight.dtype)


def require_new_tokens_train(run: Run) -> None:
    """Raise :class:`InputError` where the adapter leaves the rows of new tokens frozen."""
    if not run.new_tokens:
        return
    model: Any = run.model
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    layers = {"input embeddings": embeddings}
    if head is not None and not _tied(embeddings, head):
        layers["output layer"] = head
    for name, layer in layers.items():
        if not any(p.requires_grad for p in layer.parameters()):
            raise InputError(
                f"{run.part('adapter')!r} leaves the {name} frozen, and "
                f"{next(iter(run.new_tokens))!r} of model.new_tokens has to be learned",
                hint="use an adapter that trains all weights or the rows of new tokens, or have "
                "this one train that layer as well",
            )


def _descriptions(run: Run, known: int) -> Iterator[tuple[int, list[int]]]:
    """The id of each described token, with those that its description consists of."""
    for text, description in run.family.options.new_tokens.items():
        if description is None:
            continue
        ids = run.tokenizer(description, add_special_tokens=False)["input_ids"]
        ids = [id for id in ids if id < known]
        if not ids:
            raise InputError(
                f"model.new_tokens: the description of {text!r} has no token that the model knows",
                hint="describe it in a few words, or give null",
            )
        yield run.new_tokens[text], ids


def _matrices(model: Any) -> Iterator[Tensor]:
    """What has a row for each token: embeddings, an output layer of its own, and its bias."""
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    yield embeddings.weight
    if head is None:
        return
    if head.weight is not embeddings.weight:
        yield head.weight
    if getattr(head, "bias", None) is not None:
        yield head.bias


def _tied(embeddings: nn.Module, head: nn.Module) -> bool:
    """Whether an output layer uses the embeddings' matrix, wrapped by an adapter or not."""
    shared = {p.data_ptr() for p in embeddings.parameters()}
    return any(p.data_ptr() in shared for p in head.parameters())
