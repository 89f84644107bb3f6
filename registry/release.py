"""Builds what the project publishes, as it is published, and records how far it is proved.

``python registry/release.py [DISTRIBUTION]...`` builds all distributions of the workspace, or those
that are named, into ``dist/``, and looks at each plugin's wheel as ``ft plugins publish --check``
does. With ``--prove`` the conformance kit tries each wheel of which first-party.json has no proof
yet, and what it finds is written there. Leaves with exit code 1 where something is wrong.

``--report FILE --wheels FOLDER`` builds nothing: it records what the kit said of those wheels on
another machine (``ft plugins test --all --level 3 --json FILE``), of each distribution whose files
are still the ones that were tried there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import compute

from ft.errors import FtError
from ft.registry.entry import published
from ft.registry.model import Registry, Source
from ft.registry.publish import examine, proof
from ft.registry.read import read_registries
from ft.registry.wheel import build_wheel, kit_report


def projects() -> list[Path]:
    """The folders of all distributions: core, registry, and plugins in the order of names."""
    plugins = sorted((compute.ROOT / "plugins").glob("*/*/pyproject.toml"))
    return [compute.ROOT / "core", compute.ROOT / "registry", *(file.parent for file in plugins)]


def release(folder: Path, output: Path, prove: bool) -> list[str]:
    """Build and check the distribution in ``folder``; what is wrong with it."""
    wheel = build_wheel(folder, output)
    if not wheel.plugins:
        return []
    listed = {one["distribution"]: one for one in _listed()}
    if wheel.distribution not in listed:
        return ["it is not in first-party.json: python registry/compute.py writes that"]
    proved = {one["wheel"] for one in listed[wheel.distribution].get("proofs", ())}
    report = kit_report(wheel) if prove and wheel.digest not in proved else None
    findings = examine(folder, wheel, _without_proofs(listed.values()), report)
    wrong = [f"{found.check}: {found.message}" for found in findings if not found.ok]
    if report and not wrong:
        _record(wheel.distribution, proof(wheel, report))
    return wrong


def record_report(file: Path, wheels: Path) -> None:
    """Write the levels that a report found into first-party.json."""
    report = json.loads(file.read_text(encoding="utf-8"))
    built = {path.name.split("-")[0].replace("_", "-"): path for path in wheels.glob("*.whl")}
    for folder in projects():
        name = compute.project_of(folder)["name"]
        tried = [one for one in report["plugins"] if one["distribution"] == name]
        level = min((one["level"] or 0 for one in tried), default=0)
        if not level or f"sha256:{tried[0]['files']}" != compute.files_of(folder):
            continue
        digest = hashlib.sha256(built[name].read_bytes()).hexdigest()
        found = {"version": tried[0]["version"], "level": level, "kit": report["kit"]["version"]}
        files = compute.files_of(folder)
        _record(name, {**found, "wheel": f"sha256:{digest}", "files": files})


def _listed() -> list[dict[str, Any]]:
    return json.loads(compute.FILE.read_text(encoding="utf-8"))


def _record(distribution: str, found: dict[str, Any]) -> None:
    """Add a proof, in the place of a former one of the version, to the list as it is by now."""
    listed = _listed()
    for one in listed:
        if one["distribution"] == distribution:
            kept = [p for p in one.get("proofs", ()) if p["version"] != found["version"]]
            one["proofs"] = [*kept, found]
    compute.write(listed)


def _without_proofs(listed: Iterable[dict[str, Any]]) -> Registry:
    """All registries, with the project's own list as it is here.

    A proof in it is no sign that its version is published: it is recorded before.
    """
    source = Source("ft-registry", compute.FILE.name)
    own = [replace(published(one, source), proofs=()) for one in listed]
    names = {one.distribution for one in own}
    others = [one for one in read_registries().published if one.distribution not in names]
    return Registry((*own, *others))


def main(arguments: Sequence[str] | None = None) -> int:
    """All that are named, one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("distributions", nargs="*", metavar="DISTRIBUTION")
    parser.add_argument("--prove", action="store_true", help="try new wheels with the kit")
    parser.add_argument("--output", type=Path, default=compute.ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--report", type=Path, metavar="FILE", help="record a report of the kit")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="the wheels that it is of")
    asked = parser.parse_args(arguments)
    if asked.report or asked.wheels:
        if not (asked.report and asked.wheels):
            parser.error("--report and --wheels go together")
        record_report(asked.report, asked.wheels)
        return 0
    folders = {compute.project_of(folder)["name"]: folder for folder in projects()}
    if unknown := set(asked.distributions) - folders.keys():
        parser.error(f"no distribution of this repository: {', '.join(sorted(unknown))}")
    failed = False
    for name, folder in folders.items():
        if name in (asked.distributions or folders):
            try:
                wrong = release(folder, asked.output, asked.prove)
            except FtError as error:
                wrong = [str(error)]
            failed = failed or bool(wrong)
            print(name, "; ".join(wrong) or "ok", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
