"""Reports: as data, as a page, kept for listings, and taken over from another machine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ft.conformance.check import KIT, checks_for
from ft.conformance.html import as_html
from ft.conformance.outcome import Outcome
from ft.conformance.proof import read_proof, with_proof
from ft.conformance.report import PluginReport, as_json, digest_of, remember
from ft.errors import InputError
from ft.plugins.index import read_index
from ft.plugins.levels import levels_of

RECORD = "made_x.py,sha256=abc,12\nft_adapter_x-0.1.0.dist-info/RECORD,,\n"


@pytest.fixture
def record(site):
    info = site.adapter("x")
    (info / "RECORD").write_text(RECORD)
    (found,) = [r for r in read_index([str(site.path)]).records if r.name == "x"]
    return found


def report(record, upto: int = 2, **statuses: str) -> PluginReport:
    """All checks passed, but for those that are named with ``_`` for ``.`` and ``-``."""
    outcomes = [
        Outcome(c.id, statuses.get(c.id.replace(".", "_").replace("-", "_"), "passed"), "why")
        for c in checks_for("adapter", upto)
    ]
    return PluginReport(record, outcomes, upto)


def test_the_level_is_the_highest_whose_checks_all_hold(record) -> None:
    assert report(record).level == 2
    assert report(record, adapter_loss_falls="failed").level == 1
    assert report(record, adapter_loss_falls="known").level == 1
    assert report(record, adapter_loss_falls="skipped").level == 2
    assert report(record, every_imports="not-run").level == 0
    assert report(record, upto=1).level == 1
    first = checks_for("adapter", 0)[0].id.replace(".", "_").replace("-", "_")
    assert report(record, **{first: "failed"}).level is None


def test_levels_are_kept_until_the_distribution_is_installed_again(record, site) -> None:
    remember([report(record)])
    assert str(levels_of([record])["adapter:x"]) == "L2"
    assert levels_of([record])["adapter:x"].kit == KIT
    (site.path / "ft_adapter_x-0.1.0.dist-info" / "RECORD").write_text(RECORD + "more.py,,\n")
    assert levels_of([record]) == {}


def test_a_damaged_memory_is_no_memory(record, tmp_path) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "levels.json").write_text('{"a": 1, "b": {"stamp": ""}}')
    assert levels_of([record]) == {}


def test_the_page_shows_what_was_found_and_escapes_it(record) -> None:
    found = replace(
        report(record), outcomes=[Outcome("every.imports", "failed", "<b>wrong</b>", 1, {"MiB": 2})]
    )
    page = as_html(as_json([found]))
    assert "adapter:x" in page
    assert "&lt;b&gt;wrong&lt;/b&gt;" in page
    assert "<b>wrong" not in page
    assert "MiB 2" in page
    assert "no level" in page


def proved_elsewhere(record, tmp_path, **changes):
    done = report(record, upto=3)
    file = tmp_path / "proof.json"
    data = as_json([done])
    data["plugins"][0] |= changes
    file.write_text(json.dumps(data))
    return read_proof(file)


def test_a_proof_from_another_machine_counts_for_the_same_files(record, tmp_path) -> None:
    here = report(record, upto=3, adapter_on_accelerator="not-run")
    assert here.level == 2
    proved = with_proof(here, proved_elsewhere(record, tmp_path))
    assert proved.level == 3
    other = proved_elsewhere(record, tmp_path, files="another")
    assert with_proof(here, other).level == 2
    failed = report(record, upto=3, adapter_on_accelerator="failed")
    assert with_proof(failed, proved_elsewhere(record, tmp_path)).level == 2


def test_without_listed_files_nothing_is_proved_elsewhere(record, site, tmp_path) -> None:
    (site.path / "ft_adapter_x-0.1.0.dist-info" / "RECORD").write_text("")
    assert digest_of(record) == ""
    here = report(record, upto=3, adapter_on_accelerator="not-run")
    assert with_proof(here, proved_elsewhere(record, tmp_path)).level == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as a report"),
        ("[]", "cannot be read as a report"),
        ('{"platform": "", "plugins": [], "kit": {"version": "0.1"}}', "is a report of kit 0.1"),
    ],
)
def test_what_is_no_proof_is_named(tmp_path, text, words) -> None:
    (tmp_path / "proof.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_proof(tmp_path / "proof.json")
