"""What a release of a plugin's distribution needs, and the registry entry that it is to have.

Everything is read from the built wheel, which is what users get, and from the registries that
are installed. Nothing is asked of an index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from ft.environment.resolve import CORE
from ft.kinds import KINDS
from ft.plugins.record import normalize
from ft.registry.entry import published
from ft.registry.lookalike import lookalike
from ft.registry.model import Published, Registry, Source
from ft.registry.read import FIRST
from ft.registry.shared import shared_by
from ft.registry.wheel import Wheel, stray_files

CHANGELOG = "CHANGELOG.md"
FRAGMENTS = ("changelog.d", "docs/changelog.d")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LICENCE_FILE = re.compile(r"[^/]+\.dist-info/(licenses/.+|(LICEN[SC]E|COPYING)[^/]*)", re.I)
_REPOSITORY = {"repository", "source", "sourcecode", "github"}
"""The labels of a project's URLs that mean its source, in small letters and without signs."""

Problem = tuple[str, str]
"""What is wrong, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one check: ``message`` says what was found, ``hint`` what to do."""

    check: str
    ok: bool
    message: str
    hint: str = ""


def examine(
    folder: Path, wheel: Wheel, registry: Registry, report: Mapping[str, Any] | None
) -> list[Finding]:
    """All checks of a release, one finding for each that holds and for each problem.

    ``folder`` is the project's, and ``report`` what the conformance kit found of the wheel
    (:func:`ft.registry.wheel.kit_report`); without one it is not asked for.
    """
    ids = [f"{kind}:{name}" for kind, name, _ in wheel.plugins]
    asked: list[tuple[str, str, Iterable[Problem]]] = [
        ("metadata", f"{wheel.distribution} {wheel.version}", _metadata(wheel)),
        ("core", f"requires a range of {CORE}", _core(wheel)),
        ("plugins", ", ".join(ids), _plugins(wheel)),
        ("wheel", f"{wheel.path.name}, {len(wheel.names)} files", _files(wheel, registry)),
        ("name", "free, or this repository's", _name(wheel, registry)),
        ("changelog", f"has {wheel.version}", _changelog(folder, wheel.version)),
    ]
    if report is not None:
        level = f"level {_level(report)} of kit {report['kit']['version']}"
        asked.append(("kit", level, _kit(report)))
    findings = []
    for check, holds, problems in asked:
        wrong = [Finding(check, False, message, hint) for message, hint in problems]
        findings += wrong or [Finding(check, True, holds)]
    return findings


def entry(wheel: Wheel, registry: Registry, report: Mapping[str, Any] | None) -> str:
    """The text of the registry's file for a wheel without problems.

    What no wheel says, papers and published checkpoints, is kept from the entry that is
    listed today, and so are the proofs of other versions. With ``report`` there is one of this.
    """
    before = next((p for p in registry.published if p.distribution == wheel.distribution), None)
    kept = [p for p in before.proofs if p.version != wheel.version] if before else []
    proofs = [{key: v for key, v in asdict(p).items() if v != ""} for p in kept]
    data: dict[str, Any] = {
        "distribution": wheel.distribution,
        "summary": wheel.header("Summary"),
        "repository": _repository(wheel),
        "steward": _steward(wheel),
        "licence": _licence(wheel),
        "plugins": [
            _entry_of_plugin(wheel, before, kind, name, value)
            for kind, name, value in wheel.plugins
        ],
    }
    if report is not None:
        proofs.append(proof(wheel, report))
    if proofs:
        data["proofs"] = proofs
    # what a registry would refuse is not to be sent to one
    published(data, Source("", f"{wheel.distribution}.json"))
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def proof(wheel: Wheel, report: Mapping[str, Any]) -> dict[str, Any]:
    """The level that the conformance kit found a wheel to have, as an entry says it."""
    return {
        "version": wheel.version,
        "level": _level(report),
        "kit": str(report["kit"]["version"]),
        "wheel": wheel.digest,
        "files": f"sha256:{report['plugins'][0]['files']}",
    }


def _metadata(wheel: Wheel) -> Iterator[Problem]:
    from packaging.version import InvalidVersion, Version

    written = wheel.header("Name")
    if written != wheel.distribution:
        yield f"the name {written!r} is not {wheel.distribution}", "write it so in pyproject.toml"
    try:
        if Version(wheel.version).local:
            yield f"{wheel.version} is a local version, which an index refuses", "drop what is in +"
    except InvalidVersion:
        yield f"{wheel.version!r} is no version", 'write one such as version = "0.1.0"'
    summary = wheel.header("Summary")
    if not 10 <= len(summary) <= 90 or summary.endswith("."):
        yield (
            f"the summary is {summary!r}" if summary else "there is no summary",
            "say what it is for in description, in 10 to 90 characters without a full stop",
        )
    if not _licence(wheel):
        yield "there is no licence", 'name its SPDX expression: license = "Apache-2.0"'
    if not any(map(_LICENCE_FILE.fullmatch, wheel.names)):
        yield "the wheel holds no licence file", 'add one, and license-files = ["LICENSE"]'
    if not str(wheel.metadata.get_payload()).strip():
        yield "there is no readme", 'add one, and readme = "README.md"'
    if not wheel.header("Requires-Python"):
        yield "it does not say which Python it needs", 'add requires-python = ">=3.11"'
    if not _steward(wheel):
        yield "nobody answers for it", 'name somebody: authors = [{ name = "…" }]'
    if not _repository(wheel).startswith("https://"):
        yield (
            "it does not say where its source is, by which its name is known to be yours",
            'add [project.urls] with Repository = "https://…"',
        )


def _core(wheel: Wheel) -> Iterator[Problem]:
    from packaging.requirements import Requirement

    hint = f'write a range with both ends, such as "{CORE}>=0.1,<1"'
    requirements = map(Requirement, wheel.headers("Requires-Dist"))
    own = [r for r in requirements if normalize(r.name) == CORE and r.marker is None]
    if not own:
        yield f"it does not require {CORE}", hint
    for requirement in own:
        exact = any(clause.operator in ("==", "===") for clause in requirement.specifier)
        # no release is so old or so new
        ends = [requirement.specifier.contains(end, prereleases=True) for end in ("0", "99999")]
        if exact or any(ends) or requirement.url:
            yield f"it requires {requirement}, which is no range", hint


def _plugins(wheel: Wheel) -> Iterator[Problem]:
    if wheel.damage:
        yield wheel.damage, "build it with another backend, such as uv_build"
    if not wheel.plugins:
        yield "no entry point is a plugin's", 'add [project.entry-points."ft.KIND"]'
    for kind, name, value in wheel.plugins:
        if kind not in KINDS:
            yield f"ft.{kind} is no kind of plugin", f"known: {', '.join(KINDS)}"
        if not _NAME.fullmatch(name):
            yield f"{kind}:{name} is no plugin's name", "small letters, digits and hyphens"
        module = value.partition(":")[0].replace(".", "/")
        if not {f"{module}.py", f"{module}/__init__.py"} & {*wheel.names}:
            yield f"{kind}:{name} is in {module}, which the wheel lacks", "mend the entry point"
    values = {value for _, _, value in wheel.plugins}
    for group, key, value in wheel.matches:
        if value not in values:
            yield f"{group} {key} leads to {value}, which is no plugin", "mend the entry point"


def _files(wheel: Wheel, registry: Registry) -> Iterator[Problem]:
    if stray := stray_files(wheel):
        yield (
            f"it holds {', '.join(stray)}",
            "only the packages of the entry points belong there, and no tests",
        )
    for listed in registry.published:
        for proof in listed.proofs:
            same = (listed.distribution, proof.version) == (wheel.distribution, wheel.version)
            if same and proof.wheel != wheel.digest:
                yield (
                    f"{listed.source} proves {proof.version} of another wheel",
                    "a version is published once: raise it",
                )


def _name(wheel: Wheel, registry: Registry) -> Iterator[Problem]:
    if not registry.published:
        yield "no registry is installed, which says what is taken", f"pip install {FIRST}"
    repository = _comparable(_repository(wheel))
    listed = [p for p in registry.published if p.distribution == wheel.distribution]
    for one in listed:
        if not repository or _comparable(one.repository) != repository:
            yield (
                f"{wheel.distribution} is listed by {one.source}, of "
                f"{one.repository or 'a repository that it does not name'}",
                "choose another name; if the entry is yours, mend its repository there first",
            )
    others = [p for p in registry.published if p.distribution != wheel.distribution]
    foreign = {
        p.distribution for p in others if not repository or _comparable(p.repository) != repository
    }
    if not listed and (like := lookalike(wheel.distribution, foreign)):
        yield f"{wheel.distribution} could be taken for {like}", "choose a name that cannot"
    ids = {f"{kind}:{name}" for kind, name, _ in wheel.plugins}
    for other in others:
        for id in sorted(ids & {plugin.id for plugin in other.plugins}):
            yield f"{id} is {other.distribution}'s ({other.source})", "choose another name"


def _changelog(folder: Path, version: str) -> Iterator[Problem]:
    shared = shared_by(folder)
    files = [
        file
        for place in (folder, *([shared.root] if shared else []))
        for file in (place / CHANGELOG, *(f for p in FRAGMENTS for f in (place / p).glob("*.md")))
    ]
    # 0.1.0 is neither in 10.1.0 nor in 0.1.0.1
    mention = re.compile(rf"(?<![\w.]){re.escape(version)}(?!\w|\.\w)")
    text = "\n".join(f.read_text(encoding="utf-8", errors="replace") for f in files if f.is_file())
    if not mention.search(text.replace(f"v{version}", version)):
        yield (
            f"nothing mentions {version}: looked at {CHANGELOG} and {', '.join(FRAGMENTS)}",
            f"say there what is new, under ## {version}",
        )


def _kit(report: Mapping[str, Any]) -> Iterator[Problem]:
    for plugin in report["plugins"]:
        failed: dict[str, list[str]] = {}
        for check in plugin["checks"]:
            if check["status"] in ("failed", "fixed"):
                failed.setdefault(check["message"], []).append(check["check"])
        # a plugin that cannot be imported fails all of them for one reason
        for message, (first, *more) in failed.items():
            others = f" and {len(more)} more" if more else ""
            hint = f"what it is for: ft plugins checks {first}"
            yield f"{plugin['plugin']} fails {first}{others}: {message}", hint
        if plugin["level"] is None and not failed:
            yield f"{plugin['plugin']} reaches no level", f"ft plugins test {plugin['plugin']}"
    if not report["plugins"]:
        yield "the kit found no plugin in the wheel", "mend the entry points"


def _level(report: Mapping[str, Any]) -> int:
    """The level that all plugins reach; -1 below level 0."""
    levels = [plugin["level"] for plugin in report["plugins"]]
    return min((-1 if level is None else level for level in levels), default=-1)


def _licence(wheel: Wheel) -> str:
    # the older field may hold a whole licence's text
    return wheel.header("License-Expression") or wheel.header("License").split("\n", 1)[0]


def _steward(wheel: Wheel) -> str:
    plain = ", ".join(filter(None, map(wheel.header, ("Maintainer", "Author"))))
    addressed = getaddresses(wheel.headers("Maintainer-email") + wheel.headers("Author-email"))
    # some backends write a name into both fields
    more = [name or address for name, address in addressed if (name or address) not in plain]
    return ", ".join(filter(None, dict.fromkeys([plain, *more])))


def _repository(wheel: Wheel) -> str:
    for line in wheel.headers("Project-URL"):
        label, _, url = line.partition(",")
        if re.sub(r"[^a-z]", "", label.lower()) in _REPOSITORY:
            return url.strip()
    return ""


def _comparable(repository: str) -> str:
    return repository.lower().rstrip("/").removesuffix(".git")


def _entry_of_plugin(
    wheel: Wheel, before: Published | None, kind: str, name: str, value: str
) -> dict[str, Any]:
    listed = [p for p in before.plugins if p.id == f"{kind}:{name}"] if before else []
    matches: dict[str, dict[str, None]] = {}
    for group, key, leads_to in wheel.matches:
        if leads_to == value:
            matches.setdefault(group, {})[key] = None
    for plugin in listed:
        for group, key in plugin.matches:
            if group == "checkpoint":
                matches.setdefault(group, {})[key] = None
    found = {
        "kind": kind,
        "name": name,
        "matches": {group: list(keys) for group, keys in matches.items()},
        "papers": [paper for plugin in listed for paper in plugin.papers],
    }
    return {key: said for key, said in found.items() if said}
