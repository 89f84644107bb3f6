"""Level 0: what the metadata of a plugin's distribution says, and whether it is so."""

from __future__ import annotations

import functools
import re
import site
import subprocess
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import ft
from ft.conformance.check import ANY, Skip, check
from ft.conformance.guard import own_module
from ft.conformance.subject import Subject
from ft.kinds import KINDS
from ft.plugins.record import normalize

LEADS_TO = {
    "model_type": "model",
    "checkpoint": "model",
    "quantization": "quantizer",
    "columns": "dataset",
    "scheme": "source",
}
"""``ft.match.<group>`` → the kind of plugin that its keys lead to."""
NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
SHORTEST, LONGEST = 10, 90


@functools.lru_cache(maxsize=16)
def _distribution(location: str) -> PathDistribution:
    return PathDistribution(Path(location))


def distribution_of(subject: Subject) -> PathDistribution:
    """The metadata of the distribution that the plugin comes from."""
    if subject.record is None:
        raise Skip("it comes from no installed distribution")
    return _distribution(subject.record.location)


def header(subject: Subject, name: str) -> str:
    """A field of METADATA, empty where it is not there."""
    values = distribution_of(subject).metadata.get_all(name) or [""]
    return str(values[0]).strip()


@check(ANY, level=0, metadata=True)
def summary(subject: Subject) -> None:
    """The distribution's summary is one short line.

    Why: it is what a list of plugins shows of it, in one row of a table; most people read
    nothing else.

    Passes: ``description`` in pyproject.toml (``Summary`` in METADATA) is one line of 10 to 90
    characters without a full stop at its end.

    Fails: none, the placeholder of a template, a paragraph.

    Example: ``its summary has 131 characters, and a list shows at most 90: 'MyNet is a …'``.
    """
    text = header(subject, "Summary")
    assert text, "its distribution has no summary: set description in pyproject.toml"
    assert "\n" not in text, f"its summary has several lines: {text!r}"
    assert len(text) >= SHORTEST, f"its summary says too little: {text!r}"
    assert len(text) <= LONGEST, (
        f"its summary has {len(text)} characters, and a list shows at most {LONGEST}: {text!r}"
    )
    assert not text.endswith("."), f"its summary ends with a full stop: {text!r}"


@check(ANY, level=0, metadata=True)
def version(subject: Subject) -> None:
    """The distribution's name and version are the ones that it was installed under.

    Why: a lock, an advisory and ``minimum`` in a policy name a distribution and a version; two
    that disagree are two different things to them.

    Passes: the version is one of PEP 440, and the name and version in METADATA are those of the
    dist-info folder.

    Fails: a version such as ``1.0-final-2``; METADATA that was edited by hand.

    Example: ``its METADATA says version 0.2.0, and it is installed as mynet-0.1.0.dist-info``.
    """
    from packaging.version import InvalidVersion, Version

    stated, name = header(subject, "Version"), header(subject, "Name")
    try:
        parsed = Version(stated)
    except InvalidVersion:
        raise AssertionError(f"its version {stated!r} is none of PEP 440") from None
    folder = Path(subject.record.location) if subject.record else Path()
    if folder.suffix != ".dist-info":
        return
    project, _, installed = folder.stem.rpartition("-")
    assert normalize(name) == normalize(project), (
        f"its METADATA names {name}, and it is installed as {folder.name}"
    )
    assert parsed == Version(installed), (
        f"its METADATA says version {stated}, and it is installed as {folder.name}"
    )


@check(ANY, level=0, metadata=True)
def entry_points(subject: Subject) -> None:
    """The entry points are well formed.

    Why: the name is what people write in a recipe, on a command line and in ``dist/name``; a
    group that core does not know is never looked at.

    Passes: names are lower-case letters and digits, joined by ``-``, ``_`` or ``.``; each is
    given once in its group; every group that begins with ``ft.`` is ``ft.<kind>`` or
    ``ft.match.<group>``; values are ``module:object``.

    Fails: ``My Net = …``; a group ``ft.models``, of which nothing is ever found.

    Example: ``the plugin's name 'My Net' is not made of lower-case letters, digits and - _ .``.
    """
    groups = {f"ft.{kind}" for kind in KINDS} | {f"ft.match.{group}" for group in LEADS_TO}
    seen: set[tuple[str, str]] = set()
    for point in distribution_of(subject).entry_points:
        if not point.group.startswith("ft."):
            continue
        assert point.group in groups, (
            f"core has no entry-point group {point.group}: it has {', '.join(sorted(groups))}"
        )
        assert (point.group, point.name) not in seen, f"{point.group} has {point.name} twice"
        seen.add((point.group, point.name))
        module, colon, attribute = point.value.partition(":")
        assert all(part.strip() for part in (module, colon, attribute)), (
            f"{point.group} {point.name} = {point.value} is not of the form module:object"
        )
        if not point.group.startswith("ft.match."):
            assert NAME.fullmatch(point.name), (
                f"the plugin's name {point.name!r} is not made of lower-case letters, digits and "
                "- _ ."
            )


@check(ANY, level=0, metadata=True)
def core_range(subject: Subject) -> None:
    """The distribution requires a range of ft-core.

    Why: by that range ft judges whether a plugin fits the core that is installed. One release
    that is pinned keeps its users from every update of core; a range without an end claims to
    fit contracts that are not written yet.

    Passes: ``ft-core`` is required with a lower and an upper bound between which this core lies,
    such as ``ft-core>=0.1,<1``.

    Fails: ``ft-core==0.1.0``; ``ft-core`` alone; no requirement at all.

    Example: ``it requires ft-core==0.1.0, one release alone: write a range, as ft-core>=0.1,<1``.
    """
    from packaging.requirements import Requirement

    texts = distribution_of(subject).requires or []
    own = [r for r in map(Requirement, texts) if normalize(r.name) == "ft-core"]
    always = [r for r in own if r.marker is None]
    if subject.record and subject.record.distribution == "ft-core":
        return
    assert always, "it does not require ft-core: write a range, as ft-core>=0.1,<1"
    for requirement in always:
        specifier = requirement.specifier
        exact = [s for s in specifier if s.operator == "===" or str(s).startswith("==")]
        assert not [s for s in exact if not s.version.endswith(".*")], (
            f"it requires {requirement}, one release alone: write a range, as ft-core>=0.1,<1"
        )
        assert not requirement.url, f"it requires ft-core from one place: {requirement}"
        assert specifier.contains(ft.__version__, prereleases=True), (
            f"it requires {requirement}, and this core is {ft.__version__}"
        )
        for end, bound in (("lower", "0"), ("upper", "99999")):
            assert not specifier.contains(bound, prereleases=True), (
                f"it requires {requirement}, which has no {end} bound: write as ft-core>=0.1,<1"
            )


@check(ANY, level=0, metadata=True)
def python_range(subject: Subject) -> None:
    """The distribution says which Pythons it is for.

    Why: without that an installer offers it to every Python, and the first syntax that an old
    one does not know is met at import.

    Passes: ``requires-python`` in pyproject.toml is a range that this Python lies in.

    Fails: none stated.

    Example: ``it states no requires-python in pyproject.toml``.
    """
    import platform

    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    stated = header(subject, "Requires-Python")
    assert stated, "it states no requires-python in pyproject.toml"
    try:
        fits = SpecifierSet(stated).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:
        raise AssertionError(f"its Requires-Python {stated!r} is no range") from None
    assert fits, f"it is for Python {stated}, and this is {platform.python_version()}"


@check(ANY, level=0, metadata=True)
def licence(subject: Subject) -> None:
    """The distribution states its licence.

    Why: without one nobody may use it, and a company's policy cannot let it in.

    Passes: ``license`` in pyproject.toml, a classifier ``License :: …``, or a licence file in
    the distribution.

    Fails: none of these, or ``UNKNOWN``.

    Example: ``it states no licence: set license in pyproject.toml, such as "Apache-2.0"``.
    """
    found = distribution_of(subject)
    stated = [header(subject, name) for name in ("License-Expression", "License", "License-File")]
    classifiers = found.metadata.get_all("Classifier") or []
    stated += [text for text in classifiers if text.startswith("License ::")]
    assert [text for text in stated if text and text != "UNKNOWN"], (
        'it states no licence: set license in pyproject.toml, such as "Apache-2.0"'
    )


@check(ANY, level=0, metadata=True)
def match_keys(subject: Subject) -> None:
    """The match keys lead to plugins of the distribution, of the kind that they are for.

    Why: a model type, a column or a scheme leads to a plugin by its ``module:object``; a key that
    leads elsewhere leads nowhere, and the plugin is never chosen.

    Passes: the value of every entry point in a group ``ft.match.…`` is, to the letter, that of a
    plugin which the same distribution declares: a model for ``model_type`` and ``checkpoint``, a
    quantizer for ``quantization``, a dataset for ``columns``, a source for ``scheme``.

    Fails: an object that was renamed in one place; a model type that leads to the template.

    Example: ``ft.match.model_type mynet = mynet:famly leads to no model of this distribution``.
    """
    points = distribution_of(subject).entry_points
    declared = {(point.group, point.value.replace(" ", "")) for point in points}
    for point in points:
        group = point.group.removeprefix("ft.match.")
        if group == point.group or group not in LEADS_TO:
            continue
        kind = LEADS_TO[group]
        assert (f"ft.{kind}", point.value.replace(" ", "")) in declared, (
            f"{point.group} {point.name} = {point.value} leads to no {kind} of this distribution"
        )


_LIST = """
import site, sys
sys.path[:] = {path!r}
for folder in {folders!r}:
    site.addsitedir(folder)
from ft.cli.main import main
try:
    main(["plugins", "list"])
except SystemExit:
    pass
names = [n for n in sys.modules if n == {own!r} or n.startswith({own!r} + ".")]
print("\\nimported:", *names)
"""


@check(ANY, level=0, metadata=True)
def listing_imports_nothing(subject: Subject) -> None:
    """Listing plugins imports none of its code.

    Why: ``ft --help``, ``ft plugins list`` and the completion of a shell look at every installed
    plugin. One that runs code then slows all of them down, and can break them.

    Passes: a fresh Python that ran ``ft plugins list`` has no module of the distribution.

    Fails: a ``.pth`` file in the wheel that imports the package whenever Python starts.

    Example: ``a fresh Python that lists the plugins has imported mynet_patches``.
    """
    if subject.record is None:
        raise Skip("it comes from no installed distribution")
    own = own_module(subject.record)
    place = str(Path(subject.record.location).parent)
    # Python reads the .pth files of its own folders as it starts
    folders = [] if place in (*site.getsitepackages(), site.getusersitepackages()) else [place]
    code = _LIST.format(path=sys.path, folders=folders, own=own)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError("ft plugins list does not end within 60 s") from None
    told = (
        done.stdout.rpartition("\nimported:")[2].split() if "\nimported:" in done.stdout else None
    )
    assert told is not None, f"ft plugins list fails: {done.stderr.strip()[-300:]}"
    assert not told, f"a fresh Python that lists the plugins has imported {', '.join(told[:3])}"
