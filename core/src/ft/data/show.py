"""A row as it is trained: every token with its label and its weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ft.api.run import Run
from ft.data.collate import IGNORED

_VISIBLE = str.maketrans({" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"})


def show_rows(run: Run, row: Any) -> list[dict[str, Any]]:
    """The tokens of an encoded row (or of a pack), read from the micro batch made of it.

    One dict a token: ``sequence`` (its name in a row of several, such as ``chosen``),
    ``document`` (of a pack, from 1), ``position``, ``id``, ``token`` (its text), ``label``
    (-100 where it has no loss), ``trained`` and ``weight``.
    """
    return _tokens(run, run.collate([row]), "")


def _tokens(run: Run, batch: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    if "input_ids" not in batch:
        parts = {key: value for key, value in batch.items() if isinstance(value, Mapping)}
        return [token for key, part in parts.items() for token in _tokens(run, part, key)]
    tokens = []
    document = 0
    columns = {key: batch[key] for key in ("input_ids", "labels", "weights")}
    length = columns["input_ids"].shape[1]
    positions = batch.get("position_ids")
    for index in range(columns["input_ids"].shape[0]):
        ids, labels, weights = (column[index].tolist() for column in columns.values())
        places = range(length) if positions is None else positions[index].tolist()
        for position, id, label, weight in zip(places, ids, labels, weights, strict=True):
            document += position == 0
            tokens.append(
                {
                    "sequence": name,
                    "document": document,
                    "position": position,
                    "id": id,
                    "token": run.tokenizer.decode([id]),
                    "label": label,
                    "trained": label != IGNORED,
                    "weight": weight,
                }
            )
    return tokens


def summary(tokens: Sequence[Mapping[str, Any]]) -> str:
    """One line: how many tokens, and how many of them are trained."""
    trained = sum(token["trained"] for token in tokens)
    documents = len({(token["sequence"], token["document"]) for token in tokens})
    share = trained / len(tokens) if tokens else 0
    more = f" in {documents} documents" if documents > 1 else ""
    return f"{len(tokens)} tokens{more}, {trained} trained ({share:.0%})"


def as_line(token: Mapping[str, Any]) -> str:
    """One token as a line of a table, with its white space made visible."""
    text = token["token"].translate(_VISIBLE)
    mark = "train" if token["trained"] else "-"
    return (
        f"{token['sequence']:<9}{token['document']:>3} {token['position']:>6} {token['id']:>7}  "
        f"{mark:<5} {token['weight']:>6.3g} {token['label']:>7}  {text}"
    )


HEADER = f"{'':<9}{'doc':>3} {'pos':>6} {'id':>7}  {'':<5} {'weight':>6} {'label':>7}  token"
