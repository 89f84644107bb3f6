"""Which tokens a layer takes, and which of them attend to which."""

from __future__ import annotations

import torch
from torch import Tensor


def choose(scores: Tensor, real: Tensor, capacity: float | None) -> tuple[Tensor, Tensor]:
    """The places (rows, k) of the tokens to take, in their order, and which of them count.

    With ``capacity`` the best of each row, as many as that share of its real tokens; without it
    those with a score above 0. Rows that take fewer than ``k`` are filled up at their end.
    """
    length = scores.shape[1]
    if capacity is not None:
        ranked = scores.masked_fill(~real, -torch.inf).argsort(dim=1, descending=True, stable=True)
        counts = (capacity * real.sum(1)).round().clamp(1).long()
        most = max(1, round(capacity * length))  # known without a look at the device
    else:
        chosen = (scores > 0) & real
        ranked = (~chosen).byte().argsort(dim=1, stable=True)
        counts = chosen.sum(1)
        most = max(1, int(counts.max()))
    places = ranked[:, :most]
    is_chosen = torch.arange(most, device=scores.device) < counts.clamp(max=most)[:, None]
    # in the order of the sequence, and what does not count behind all that does
    order = torch.where(is_chosen, places, places + length).argsort(1)
    return places.gather(1, order), is_chosen.gather(1, order)


def real_tokens(mask: Tensor | None, hidden: Tensor) -> Tensor:
    """Which tokens of ``hidden`` are no padding, (rows, length): those that see themselves."""
    rows, length = hidden.shape[:2]
    if mask is None:
        return torch.ones(rows, length, dtype=torch.bool, device=hidden.device)
    return _seen(mask)[:, 0].diagonal(mask.shape[-1] - length, 1, 2).expand(rows, -1)


def sparse_mask(mask: Tensor | None, places: Tensor, is_chosen: Tensor) -> Tensor | None:
    """The mask of the chosen tokens among themselves.

    ``None``, causal attention, stays so: what does not count stands behind what does.
    """
    if mask is None:
        return None
    rows, heads, most = len(places), mask.shape[1], places.shape[1]
    mask = mask.expand(rows, -1, -1, -1)
    of_queries = mask.gather(2, places[:, None, :, None].expand(-1, heads, -1, mask.shape[3]))
    of_both = of_queries.gather(3, places[:, None, None, :].expand(-1, heads, most, -1))
    own = torch.eye(most, dtype=torch.bool, device=mask.device)
    return _restricted(of_both, is_chosen[:, None, None] | own, own)


def dense_mask(mask: Tensor | None, chosen: Tensor, hidden: Tensor) -> Tensor:
    """The mask of all tokens of ``hidden``, under which they see chosen ones and themselves.

    ``chosen`` is (rows, keys), of all tokens up to the last of ``hidden``.
    """
    length, keys = hidden.shape[1], chosen.shape[1]
    places = torch.arange(keys, device=hidden.device)
    own = places == places[keys - length :, None]
    if mask is None:
        mask = (places <= places[keys - length :, None])[None, None]
    return _restricted(mask, chosen[:, None, None] | own, own)


def _seen(mask: Tensor) -> Tensor:
    """A mask as booleans; one that is added to scores is 0 where a key is seen."""
    return mask if mask.dtype == torch.bool else mask == 0


def _restricted(mask: Tensor, allowed: Tensor, own: Tensor) -> Tensor:
    """The mask where ``allowed``; each query sees itself, or the softmax would be of nothing."""
    seen = (_seen(mask) & allowed) | own
    if mask.dtype == torch.bool:
        return seen
    return torch.where(seen, 0.0, torch.finfo(mask.dtype).min).to(mask.dtype)
