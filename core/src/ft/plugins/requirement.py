"""Requirements of a distribution, judged against what is installed.

``packaging`` knows all of PEP 440 and PEP 508 and takes longer to import than a listing may
last. Nearly every requirement is a name with a range of plain releases; those are judged
here, and the rest is left to ``packaging``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from functools import cache

from ft.plugins.record import normalize

_BOUND = r"(?:===|[<>=!~]=|[<>])\s*[\w.*+!-]+"
_PLAIN = re.compile(
    # a name, extras (which say nothing of its own version), bounds
    rf"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[\w\s,.-]*\]\s*)?({_BOUND}(?:\s*,\s*{_BOUND})*)?",
    re.ASCII,
)
_CLAUSE = re.compile(r"\s*(>=|<=|==|!=|<|>)\s*(\d+(?:\.\d+)*)\s*")
_RELEASE = re.compile(r"\d+(?:\.\d+)*")
_ONLY_IN_AN_EXTRA = re.compile(r";[^|]*\bextra\s*==")
_COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def satisfies(version: str, specifier: str) -> bool:
    """Whether ``version`` lies in ``specifier`` (``>=0.1,<1``), pre-releases included.

    A version that is none at all is given the benefit of the doubt. Raises ``ValueError``
    for a specifier that is none.
    """
    release = version.partition("+")[0]
    clauses = [_CLAUSE.fullmatch(clause) for clause in specifier.split(",")]
    if _RELEASE.fullmatch(release) and all(clauses):
        left = _parts(release)
        return all(_COMPARE[c[1]](left, _parts(c[2])) for c in clauses if c)

    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        parsed = Version(version)
    except InvalidVersion:
        return True
    return SpecifierSet(specifier).contains(parsed, prereleases=True)


def _parts(release: str) -> tuple[int, ...]:
    parts = [int(part) for part in release.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


@cache
def parse(requirement: str) -> tuple[str, str] | None:
    """Normalized name and specifier of a Requires-Dist; ``None`` where it does not apply here.

    Raises ``ValueError`` for text that is no requirement.
    """
    requirement = requirement.strip()
    plain = _PLAIN.fullmatch(requirement)
    if plain:
        return normalize(plain[1]), (plain[2] or "").strip()
    if _ONLY_IN_AN_EXTRA.search(requirement) and " or " not in requirement:
        return None

    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    if parsed.marker and not parsed.marker.evaluate({"extra": ""}):
        return None
    return normalize(parsed.name), str(parsed.specifier)


def unmet(requirement: str, installed: Mapping[str, str]) -> str:
    """Why ``installed`` (normalized name → version) does not meet a requirement, or nothing."""
    parsed = parse(requirement)
    if parsed is None:
        return ""
    name, specifier = parsed
    version = installed.get(name)
    if version is None:
        return f"needs {name}{specifier}, which is not installed"
    if specifier and version and not satisfies(version, specifier):
        return f"needs {name}{specifier}, and {version} is installed"
    return ""
