"""What a plugin says to the conformance kit: limits of capabilities, and known failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Limit:
    """Why a capability is not there in full.

    ``partial``: it is there under ``options``, and the kit checks it with these.
    ``not-implemented``: it could be there and is not yet; asking for it is refused, which the
    kit checks, as it does for a capability that a plugin never names. ``reason`` is a sentence
    for the user.
    """

    state: Literal["partial", "not-implemented"]
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A check of the conformance kit that a plugin is known to fail.

    ``check`` is its id, ``reason`` why it fails, ``issue`` a link to where that is followed up.
    It holds the plugin's level below that of the check, and passing it is an error: the entry
    has to go then.
    """

    check: str
    reason: str
    issue: str
