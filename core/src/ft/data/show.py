"""A row as it is trained: every token with its label and its weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from ft.api.run import Run
from ft.data.collate import IGNORED

_VISIBLE = str.maketrans(
    {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"} | dict.fromkeys("\x1b\x00", "�")
)


def row_at(sets: Sequence[Any], number: int) -> Any:
    """Row ``number``, from 1, counted over data sets; ``None`` where they have fewer.

    Of a data set that is streamed, what stands before the row is read.
    """
    left = number - 1
    for rows in sets:
        if not hasattr(rows, "__len__"):
            return next(islice(iter(rows), left, None))
        if left < len(rows):
            return rows[left]
        left -= len(rows)
    return None


def show_rows(run: Run, row: Any) -> list[dict[str, Any]]:
    """The tokens of an encoded row (or of a pack), read from the micro batch made of it.

    One dict a token: ``sequence`` (its name in a row of several, such as ``chosen``),
    ``document`` (of a pack, from 1), ``origin`` (the file and the row that its document was
    made of), ``position``, ``id``, ``token`` (its text), ``label`` (-100 where it has no loss),
    ``trained`` and ``weight``.
    """
    return _tokens(run, run.collate([row]), "", row)


def _tokens(run: Run, batch: Mapping[str, Any], name: str, row: Any) -> list[dict[str, Any]]:
    if "input_ids" not in batch:
        parts = {key: value for key, value in batch.items() if isinstance(value, Mapping)}
        return [token for key, part in parts.items() for token in _tokens(run, part, key, row[key])]
    tokens = []
    document = 0
    origins = [str(one.origin or "") for one in (row if isinstance(row, list) else [row])]
    # what fills a row up stands behind its tokens
    length = batch.get("real_tokens", batch["input_ids"].shape[1])
    columns = {key: batch[key][:, :length] for key in ("input_ids", "labels", "weights")}
    positions = batch.get("position_ids")
    for index in range(columns["input_ids"].shape[0]):
        ids, labels, weights = (column[index].tolist() for column in columns.values())
        places = range(length) if positions is None else positions[index, :length].tolist()
        for position, id, label, weight in zip(places, ids, labels, weights, strict=True):
            document += position == 0
            tokens.append(
                {
                    "sequence": name,
                    "document": document,
                    "origin": origins[document - 1],
                    "position": position,
                    "id": id,
                    "token": run.tokenizer.decode([id]),
                    "label": label,
                    "trained": label != IGNORED,
                    "weight": weight,
                }
            )
    return tokens


def origins_of(tokens: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each document that says which row of which file it was made of."""
    found = dict.fromkeys((token["document"], token["origin"]) for token in tokens)
    several = len({document for document, _ in found}) > 1
    return [
        f"document {document}: {origin}" if several else origin
        for document, origin in found
        if origin
    ]


def summary(tokens: Sequence[Mapping[str, Any]]) -> str:
    """One line: how many tokens, and how many of them are trained."""
    trained = sum(token["trained"] for token in tokens)
    documents = len({(token["sequence"], token["document"]) for token in tokens})
    share = trained / len(tokens) if tokens else 0
    more = f" in {documents} documents" if documents > 1 else ""
    return f"{len(tokens)} tokens{more}, {trained} trained ({share:.0%})"


def table(tokens: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """A head, and one line for each token with its white space made visible.

    A name or a document has a column where there is more than one; a token without a loss has
    neither a label nor a weight.
    """
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {}
    if len({token["sequence"] for token in tokens}) > 1:
        columns["of"] = lambda token: token["sequence"]
    if len({token["document"] for token in tokens}) > 1:
        columns["doc"] = lambda token: str(token["document"])
    columns |= {
        "pos": lambda token: str(token["position"]),
        "id": lambda token: str(token["id"]),
        "label": lambda token: str(token["label"]) if token["trained"] else "",
        "weight": lambda token: f"{token['weight']:.3g}" if token["trained"] else "",
    }
    cells = {name: [name, *map(cell, tokens)] for name, cell in columns.items()}
    widths = {name: max(map(len, column)) for name, column in cells.items()}
    texts = ["token", *(token["token"].translate(_VISIBLE) for token in tokens)]
    head, *lines = (
        "  ".join([*(c.rjust(w) for c, w in zip(row, widths.values(), strict=True)), text])
        for *row, text in zip(*cells.values(), texts, strict=True)
    )
    return head, lines
