"""The index: each state from metadata alone, and finding what a recipe names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ft.errors import InputError, PluginError
from ft.plugins.index import Index, read_index
from ft.plugins.record import Record

UNIMPORTABLE = "raise AssertionError('the index imported a plugin')\n"


def read(site) -> Index:
    return read_index([str(site.path)])


def only(site) -> Record:
    (record,) = read(site).records
    return record


def test_a_record_holds_what_metadata_says(site) -> None:
    info = site.adapter("lora", UNIMPORTABLE, headers="Keywords: low-rank\n", summary="LoRA")
    record = only(site)
    assert (record.kind, record.name, record.state) == ("adapter", "lora", "ok")
    assert (record.distribution, record.version) == ("ft-adapter-lora", "0.1.0")
    assert (record.summary, record.keywords) == ("LoRA", "low-rank")
    assert record.value == "made_lora:plugin"
    assert record.requires == ("ft-core>=0.1,<1",)
    assert Path(record.location) == info
    assert "made_lora" not in sys.modules


def test_other_distributions_are_no_plugins(site) -> None:
    site.add("requests", {})
    site.add("ft-core", {})
    assert read(site).records == []


def test_one_distribution_may_bring_several(site) -> None:
    site.add("acme", {"adapter:a": "acme:a", "trainer:t": "acme:t"}, UNIMPORTABLE)
    assert [r.id for r in read(site).records] == ["adapter:a", "trainer:t"]


def test_the_first_on_the_path_wins(site, tmp_path: Path) -> None:
    site.adapter("lora")
    other = type(site)(tmp_path / "other")
    other.adapter("lora", version="0.2.0")
    index = read_index([str(other.path), str(site.path)])
    assert [r.version for r in index.records] == ["0.2.0"]


def test_missing_and_unreadable_path_entries_are_passed_over(site, tmp_path: Path) -> None:
    site.adapter("lora")
    assert len(read_index([str(tmp_path / "none"), str(site.path)]).records) == 1


@pytest.mark.parametrize(
    ("requirement", "state", "reason"),
    [
        ("ft-core>=2", "incompatible", "needs ft-core>=2, and 0.1.0 is installed"),
        ("ft-core>=0.1,<1", "ok", ""),
        ("ft_core[x]>=0.1", "ok", ""),
        ("nowhere>=1", "missing-dependency", "needs nowhere>=1, which is not installed"),
        ("nowhere; extra == 'gpu'", "ok", ""),
        ("nowhere; python_version < '3'", "ok", ""),
        ("there", "ok", ""),
        ("there>=2", "missing-dependency", "needs there>=2, and 1.5 is installed"),
    ],
)
def test_requirements(site, requirement: str, state: str, reason: str) -> None:
    site.add("there", {}, version="1.5")
    site.adapter("lora", requires=[requirement])
    record = only(site)
    assert (record.state, record.reason) == (state, reason)


def test_incompatible_comes_before_missing(site) -> None:
    site.adapter("lora", requires=["nowhere", "ft-core>=2"])
    assert only(site).state == "incompatible"


def test_requires_python(site) -> None:
    site.adapter("lora", headers="Requires-Python: >=4\n")
    record = only(site)
    assert record.state == "incompatible"
    assert "needs Python >=4" in record.reason


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (b"", "cut off"),
        (b"Metadata-Version: 2.4\nName: ft-adap", "cut off"),
        (b"Metadata-Version: 2.4\nName: ft-adapter-lora\n", "no Version"),
        (b"Name: \xff\xfe\n", "not UTF-8"),
        (b"Name: ft-adapter-dora\nVersion: 1\n", "names 'ft-adapter-dora'"),
        (b"Name: ft-adapter-lora\nVersion: 1\nRequires-Dist: peft >>= what\n", "damaged"),
        (None, "missing"),
    ],
)
def test_damaged_metadata(site, metadata: bytes | None, reason: str) -> None:
    info = site.adapter("lora")
    (info / "METADATA").unlink()
    if metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    record = only(site)
    assert (record.id, record.state) == ("adapter:lora", "broken")
    assert reason in record.reason
    assert record.distribution == "ft-adapter-lora"


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (b"[ft.adap", "cut off at line 1"),
        (b"[ft.adapter]\nlora", "line 2 is no entry point"),
        (b"[ft.adapter]\nlora = ft_adapter_lora", "not of the form module:object"),
        (b"[ft.adapter]\nlora = ft_gone:plugin", "module ft_gone is not on disk"),
        (b"[ft.adapter]\nlora = \xff", "not UTF-8"),
    ],
)
def test_damaged_entry_points(site, points: bytes, reason: str) -> None:
    info = site.adapter("lora")
    (info / "entry_points.txt").write_bytes(points)
    record = only(site)
    assert (record.id, record.state) == ("adapter:lora", "broken")
    assert reason in record.reason


def test_an_install_that_was_killed_is_a_row(site) -> None:
    (site.path / "ft_adapter_lora-0.1.0.dist-info").mkdir()
    record = only(site)
    assert (record.id, record.version, record.state) == ("adapter:lora", "0.1.0", "broken")


def test_an_editable_install_has_its_module_elsewhere(site) -> None:
    info = site.adapter("lora")
    (site.path / "made_lora.py").unlink()
    assert only(site).state == "broken"
    (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:"}')
    assert only(site).state == "ok"


def test_folded_headers_and_windows_line_ends(site) -> None:
    info = site.adapter("lora")
    text = "Name: ft-adapter-lora\nVersion: 0.1.0\nSummary: one\n  two\n\nbody"
    (info / "METADATA").write_bytes(text.replace("\n", "\r\n").encode())
    assert only(site).summary == "one two"


# -- finding ----------------------------------------------------------------------------------


def test_find(site) -> None:
    site.adapter("lora")
    index = read(site)
    assert index.find("adapter", "lora") == index.find("adapter", "ft-adapter-lora/lora")
    assert index.find("adapter", "ft_adapter_LoRA/lora").name == "lora"


def test_unknown_name_suggests_the_nearest_and_the_distribution(site) -> None:
    site.adapter("lora")
    with pytest.raises(InputError) as raised:
        read(site).find("adapter", "lroa")
    assert "did you mean lora?" in str(raised.value)
    assert "ft plugins add ft-adapter-lroa --unlisted" in str(raised.value)


def test_unknown_name_with_nothing_near_lists_what_there_is(site) -> None:
    site.adapter("lora")
    with pytest.raises(InputError, match="installed: lora"):
        read(site).find("adapter", "zzz")


def test_unknown_kind(site) -> None:
    with pytest.raises(InputError, match="did you mean adapter"):
        read(site).find("adaptor", "lora")


def test_unknown_distribution_of_a_known_name(site) -> None:
    site.adapter("lora")
    with pytest.raises(InputError, match=r"acme has no adapter 'lora'[\s\S]*ft-adapter-lora"):
        read(site).find("adapter", "acme/lora")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"requires": ["ft-core>=2"]}, InputError),
        ({"requires": ["nowhere"]}, InputError),
        ({"headers": "Requires-Dist: ><\n"}, PluginError),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(site, options, error) -> None:
    site.adapter("lora", **options)
    with pytest.raises(error) as raised:
        read(site).find("adapter", "lora")
    assert only(site).reason in str(raised.value)
    assert "ft-adapter-lora 0.1.0" in str(raised.value)


def conflicting(site) -> Index:
    site.adapter("lora")
    site.add("acme", {"adapter:lora": "acme:plugin"}, UNIMPORTABLE)
    return read(site)


def test_a_conflict_names_both_and_the_line_that_settles_it(site) -> None:
    index = conflicting(site)
    assert [r.state for r in index.records] == ["conflict", "conflict"]
    with pytest.raises(InputError) as raised:
        index.find("adapter", "lora")
    text = str(raised.value)
    assert "claimed by acme and ft-adapter-lora" in text
    assert 'prefer = {"adapter:lora" = "ft-adapter-lora"}' in text
    assert "[plugins]" in text


def test_naming_the_distribution_settles_a_conflict(site) -> None:
    record = conflicting(site).find("adapter", "acme/lora")
    assert (record.distribution, record.state) == ("acme", "ok")


def test_preference_settles_a_conflict(site) -> None:
    found = conflicting(site).found
    index = Index(found, prefer={"adapter:lora": ("acme", "ft.toml:3")})
    assert index.find("adapter", "lora").distribution == "acme"
    states = {r.distribution: (r.state, r.reason) for r in index.records}
    assert states["ft-adapter-lora"] == ("shadowed", "ft.toml:3 prefers acme")
    assert index.find("adapter", "ft-adapter-lora/lora").state == "ok"


def test_one_that_can_never_load_here_claims_nothing(site) -> None:
    site.adapter("lora")
    site.add("acme", {"adapter:lora": "acme:plugin"}, UNIMPORTABLE, requires=["ft-core>=2"])
    assert read(site).find("adapter", "lora").distribution == "ft-adapter-lora"


def test_a_broken_rival_does_not_hand_the_name_over(site) -> None:
    conflicting(site)
    (site.path / "acme.py").unlink()
    index = read(site)
    assert {r.distribution: r.state for r in index.records} == {
        "acme": "broken",
        "ft-adapter-lora": "conflict",
    }
    with pytest.raises(InputError, match="claimed by"):
        index.find("adapter", "lora")
    with pytest.raises(PluginError):
        index.find("adapter", "acme/lora")


# -- matching ---------------------------------------------------------------------------------


def test_match(site) -> None:
    site.add(
        "ft-model-qwen3",
        {"model:qwen3": "qwen3:family", "template:qwen3": "qwen3:template"},
        UNIMPORTABLE,
        match={"model_type qwen3_moe": "qwen3:family", "checkpoint Qwen/Qwen3-*": "qwen3:family"},
    )
    site.add(
        "ft-dataset-alpaca",
        {"dataset:alpaca": "alpaca:dataset"},
        UNIMPORTABLE,
        match={"columns instruction+output": "alpaca:dataset"},
    )
    site.add(
        "ft-dataset-text",
        {"dataset:text": "text:dataset"},
        UNIMPORTABLE,
        match={"columns output": "text:dataset"},
    )
    index = read(site)

    def matched(group, key):
        return [r.id for r in index.match(group, key)]

    assert matched("model_type", "qwen3_moe") == ["model:qwen3"]
    assert matched("model_type", "qwen3") == []
    assert matched("checkpoint", "Qwen/Qwen3-0.6B") == ["model:qwen3"]
    assert matched("checkpoint", "qwen/other") == []
    assert matched("columns", {"instruction", "output", "id"}) == ["dataset:alpaca"]
    assert matched("columns", {"output"}) == ["dataset:text"]
    assert matched("columns", {"id"}) == []
    assert index.keys(index.find("dataset", "text")) == ["columns output"]


def test_the_longest_checkpoint_pattern_wins(site) -> None:
    for name, pattern in (("a", "org/*"), ("b", "org/small-*")):
        value = f"m{name}:family"
        site.add(
            f"ft-model-{name}",
            {f"model:{name}": value},
            UNIMPORTABLE,
            match={f"checkpoint {pattern}": value},
        )
    assert [r.name for r in read(site).match("checkpoint", "org/small-1B")] == ["b"]
    assert [r.name for r in read(site).match("checkpoint", "org/big")] == ["a"]


def test_a_match_that_cannot_be_used_counts_only_alone(site) -> None:
    for name, requires in (("a", ["ft-core>=2"]), ("b", [])):
        value = f"m{name}:family"
        site.add(
            f"ft-model-{name}",
            {f"model:{name}": value},
            UNIMPORTABLE,
            requires=requires,
            match={"model_type llama": value, f"model_type {name}": value},
        )
    index = read(site)
    assert [r.name for r in index.match("model_type", "llama")] == ["b"]
    assert [r.state for r in index.match("model_type", "a")] == ["incompatible"]
