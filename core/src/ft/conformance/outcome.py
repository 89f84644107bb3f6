"""What became of checks, and the level that follows from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ft.conformance.check import checks_for

Status = Literal["passed", "refused", "skipped", "known", "failed", "fixed", "not-run"]
GOOD = ("passed", "refused", "skipped")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check of one plugin.

    * ``passed``;
    * ``refused``: the plugin does not have the capability, and refuses clearly when asked;
    * ``skipped``: the check does not apply to it;
    * ``known``: it failed, as the plugin says it would;
    * ``failed``;
    * ``fixed``: it passed although the plugin says that it would fail, which counts as failing;
    * ``not-run``: something that the check needs is absent here.

    ``message`` says why it is not simply ``passed``; ``measures`` are figures by name.
    """

    check: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    measures: dict[str, float] = field(default_factory=dict)

    @property
    def counts_against(self) -> bool:
        """Whether it holds the plugin's level down."""
        return self.status not in GOOD

    @property
    def is_failure(self) -> bool:
        """Whether the author has something to do."""
        return self.status in ("failed", "fixed")


def level_of(kind: str, outcomes: Sequence[Outcome]) -> int | None:
    """The level that outcomes prove: the highest whose checks, and all below, hold.

    ``None`` where not even the checks of level 0 do. A check without an outcome does not hold;
    a level that a kind has no check for cannot be reached.
    """
    known = {outcome.check: outcome for outcome in outcomes}
    wanted = checks_for(kind)
    reached = None
    for level in sorted({check.level for check in wanted}):
        found = [known.get(check.id) for check in wanted if check.level == level]
        if any(outcome is None or outcome.counts_against for outcome in found):
            break
        reached = level
    return reached
