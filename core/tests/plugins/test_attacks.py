"""Attacks on what may load: each ends in a refusal that says who, where and why."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import json
import py_compile
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ft.environment.record import record_digest
from ft.errors import FtError, InputError, PluginError
from ft.plugins import guard
from ft.plugins.doctor import examine
from ft.plugins.index import Index, read_index
from ft.plugins.load import load
from ft.plugins.policy import read_policy

PLUGIN = "from ft.api import Adapter\nplugin = Adapter()\n"


@pytest.fixture(autouse=True)
def unguarded() -> Iterator[None]:
    """A guard that a test armed ends with it."""
    before = guard.state()
    yield
    guard.restore(before)


def index_of(site) -> Index:
    index = read_policy().apply(read_index([str(site.path)]), [str(site.path)])
    guard.refuse(index.found)
    return index


def traced(trace: Path) -> str:
    """A plugin whose module leaves a trace when it is run."""
    return f"open({str(trace)!r}, 'w').close()\n{PLUGIN}"


def write_record(info: Path, *files: Path) -> None:
    """Write a RECORD as an installer does: each file with its hash, itself without."""
    with (info / "RECORD").open("w", newline="") as stream:
        rows = csv.writer(stream)
        for file in (*files, info / "METADATA", info / "entry_points.txt"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
            path = file.relative_to(info.parent).as_posix()
            rows.writerow([path, f"sha256={digest.decode().rstrip('=')}", file.stat().st_size])
        rows.writerow([f"{info.name}/RECORD", "", ""])


def locked(site, trace: Path, *, hashed: bool = True) -> Path:
    """A project in mode locked, with one plugin as the lock has it; returns its dist-info."""
    info = site.adapter("sealed", traced(trace))
    write_record(info, site.path / "made_sealed.py")
    Path("ft.toml").write_text('[plugins]\nmode = "locked"\n')
    wheel = f"sha256:{'0' * 64}"
    hashes = f'{{sha256 = "{"0" * 64}"}}' if hashed else "{}"
    Path("pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "a test"\n\n[[packages]]\n'
        'name = "ft-adapter-sealed"\nversion = "0.1.0"\n'
        'wheels = [{url = "https://example.org/ft_adapter_sealed-0.1.0-py3-none-any.whl", '
        f"hashes = {hashes}}}]\n"
    )
    notes = {
        "ft-adapter-sealed": {
            "version": "0.1.0",
            "record": record_digest(info),
            "hashes": [wheel] if hashed else [],
            "origin": "wheel",
        }
    }
    Path("pylock.files.json").write_text(json.dumps(notes))
    return info


def refusal(site) -> str:
    """What a run is told that asks for the plugin, and what ``ft plugins doctor`` finds."""
    index = index_of(site)
    (found,) = examine(index.records)
    assert found.record.state == "denied"
    with pytest.raises(InputError) as raised:
        load(index.find("adapter", "sealed"))
    assert found.record.reason in str(raised.value)
    return str(raised.value)


def test_a_distribution_that_claims_the_name_of_another(site, tmp_path: Path) -> None:
    site.adapter("lora")
    trace = tmp_path / "ran"
    info = site.add("acme-tools", {"adapter:other": "made_acme:plugin"}, traced(trace))
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: ft-adapter-lora\nVersion: 9\n\n")
    with pytest.raises(PluginError, match="METADATA is damaged: it names 'ft-adapter-lora'"):
        load(index_of(site).find("adapter", "other"))
    assert not trace.exists()


def test_a_distribution_that_claims_lora(site, tmp_path: Path) -> None:
    site.adapter("lora")
    trace = tmp_path / "ran"
    site.add("acme", {"adapter:lora": "made_acme:plugin"}, traced(trace))
    with pytest.raises(InputError, match="claimed by acme and ft-adapter-lora"):
        load(index_of(site).find("adapter", "lora"))
    assert not trace.exists()


@pytest.mark.parametrize(
    "way",
    [
        "import made_bad\n",
        "import made_bad.part\n",
        "import importlib\nimportlib.import_module('made_bad')\n",
        "try:\n    import made_bad\nexcept ModuleNotFoundError:\n    pass\n",
    ],
)
def test_a_denied_plugin_that_another_imports(site, tmp_path: Path, way: str) -> None:
    trace = tmp_path / "ran"
    site.adapter("bad", traced(trace))
    site.adapter("good", f"{way}{PLUGIN}")
    Path("ft.toml").write_text('[plugins]\ndeny = ["ft-adapter-bad"]\n')
    with pytest.raises(PluginError) as raised:
        load(index_of(site).find("adapter", "good"))
    assert "made_bad is imported at" in str(raised.value) or "made_bad.part is" in str(raised.value)
    assert "made_good.py:" in str(raised.value)
    assert "adapter:bad of ft-adapter-bad is not permitted: denied by ft.toml:2" in str(
        raised.value
    )
    assert not trace.exists()


def test_a_denied_plugin_under_the_name_of_another_distribution(site, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    site.adapter("bad", traced(trace))
    site.add("acme", {"adapter:fresh": "made_bad:plugin"})
    Path("ft.toml").write_text('[plugins]\ndeny = ["ft-adapter-bad"]\n')
    with pytest.raises(PluginError, match="ft-adapter-bad is not permitted"):
        load(index_of(site).find("adapter", "fresh"))
    assert not trace.exists()


def test_the_doctor_keeps_a_denied_plugin_out_as_well(site, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    site.adapter("bad", traced(trace))
    site.adapter("good", f"import made_bad\n{PLUGIN}")
    Path("ft.toml").write_text('[plugins]\ndeny = ["ft-adapter-bad"]\n')
    states = {f.record.name: f.record for f in examine(index_of(site).records)}
    assert states["good"].state == "broken"
    assert "denied by ft.toml:2" in states["good"].reason
    assert not trace.exists()


def test_a_permitted_plugin_of_a_shared_package_still_loads(site) -> None:
    for name in ("bad", "good"):
        (site.path / "shared" / name).mkdir(parents=True)
        file = site.path / "shared" / name / "__init__.py"
        file.write_text(PLUGIN)
        info = site.add(f"acme-{name}", {f"adapter:{name}": f"shared.{name}:plugin"})
        write_record(info, file)
    Path("ft.toml").write_text('[plugins]\ndeny = ["acme-bad"]\n')
    index = index_of(site)
    assert load(index.find("adapter", "good"))
    with pytest.raises(ImportError, match="acme-bad is not permitted"):
        __import__("shared.bad")


def test_what_the_lock_has_is_loaded(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran")
    assert load(index_of(site).find("adapter", "sealed"))
    assert (tmp_path / "ran").exists()


def test_a_tampered_file(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran")
    file = site.path / "made_sealed.py"
    file.write_text(file.read_text().replace("Adapter()", "Adapter( )"))
    said = (
        "made_sealed.py is not the file that was locked (pylock.toml:4, which ft.toml:2 asks for)"
    )
    assert said in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_a_tampered_file_with_a_record_to_match(site, tmp_path: Path) -> None:
    info = locked(site, tmp_path / "ran")
    file = site.path / "made_sealed.py"
    file.write_text(file.read_text() + "# more\n")
    write_record(info, file)
    assert "RECORD of ft-adapter-sealed is not the one that was locked" in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_byte_code_that_is_not_of_the_source(site, tmp_path: Path) -> None:
    """Python takes byte code for that of a source with the same time and size."""
    locked(site, tmp_path / "ran")
    source = site.path / "made_sealed.py"
    bad = tmp_path / "bad.py"
    bad.write_text(traced(tmp_path / "bad-ran"))
    cached = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(str(bad), cfile=str(cached))
    code, stat = cached.read_bytes(), source.stat()
    stamp = struct.pack("<II", int(stat.st_mtime), stat.st_size)
    cached.write_bytes(code[:8] + stamp + code[16:])
    index = index_of(site)
    list(examine(index.records))
    assert load(index.find("adapter", "sealed"))
    assert (tmp_path / "ran").exists()
    assert not (tmp_path / "bad-ran").exists()


def test_a_module_that_comes_first_on_the_path(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked(site, tmp_path / "ran")
    before = tmp_path / "before"
    before.mkdir()
    (before / "made_sealed.py").write_text(traced(tmp_path / "ran"))
    monkeypatch.syspath_prepend(before)
    assert f"module made_sealed is {before}" in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_a_file_planted_in_the_package(site, tmp_path: Path) -> None:
    info = locked(site, tmp_path / "ran")
    (info / "more.py").write_text("")
    assert "more.py is a file that no RECORD lists" in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_another_version_than_the_lock_has(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran")
    text = Path("pylock.toml").read_text()
    Path("pylock.toml").write_text(text.replace('version = "0.1.0"', 'version = "0.2.0"'))
    assert "pylock.toml:4 has 0.2.0, and 0.1.0 is installed" in refusal(site)


def test_a_lock_with_a_hash_removed(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran", hashed=False)
    assert "pylock.toml:4 has no hash for ft_adapter_sealed-0.1.0-py3" in refusal(site)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", [None, "{", "packages = 3", "lock-version = '1.0'\npackages = [1]"]
)
def test_a_lock_that_cannot_be_read_lets_nothing_in(site, tmp_path: Path, text: str | None) -> None:
    locked(site, tmp_path / "ran")
    Path("pylock.toml").unlink()
    if text is not None:
        Path("pylock.toml").write_text(text)
    assert "ft.toml:2 asks for a lock; pylock.toml" in refusal(site)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"ft-adapter-sealed": {}}', "{}"])
def test_notes_that_cannot_be_read_let_nothing_in(site, tmp_path: Path, text: str | None) -> None:
    locked(site, tmp_path / "ran")
    Path("pylock.files.json").unlink()
    if text is not None:
        Path("pylock.files.json").write_text(text)
    assert "ft env sync" in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_a_plugin_beside_the_lock(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran")
    site.adapter("extra")
    record = index_of(site).claims("adapter", "extra")[0]
    assert record.state == "denied"
    assert record.reason == "not in pylock.toml, and ft.toml:2 permits what is locked alone"


def registry(site, **files: str) -> None:
    """Install a registry of a team, with advisories."""
    package = site.path / "acme_registry"
    (package / "advisories").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('a registry is not imported')\n")
    for name, text in files.items():
        (package / "advisories" / f"{name}.toml").write_text(text)
    info = site.add("acme-registry", {})
    (info / "entry_points.txt").write_text("[ft.registry]\nacme = acme_registry\n")


WARNING = 'distribution = "ft-adapter-lora"\nreason = "it leaks"\n'


@pytest.mark.parametrize("lowest", ["0.2.0", "0.1.1", "", "not a version"])
def test_an_advisory_for_an_installed_version(site, tmp_path: Path, lowest: str) -> None:
    trace = tmp_path / "ran"
    site.adapter("lora", traced(trace))
    text = f'{WARNING}link = "https://example.org/1"\n'
    registry(site, acme_1=text + (f'lowest_good = "{lowest}"\n' if lowest else ""))
    Path("ft.toml").write_text('[plugins]\nallow = ["*"]\n')
    with pytest.raises(InputError) as raised:
        load(index_of(site).find("adapter", "lora"))
    said = "advisory acme_1 (acme-registry: advisories/acme_1.toml): it leaks; "
    assert said in str(raised.value)
    assert "https://example.org/1" in str(raised.value)
    assert not trace.exists()


def test_an_advisory_for_an_older_version(site) -> None:
    site.adapter("lora")
    registry(site, acme_1=f'{WARNING}lowest_good = "0.1.0"\n')
    assert load(index_of(site).find("adapter", "lora"))


def test_a_registry_that_cannot_be_read_is_told_of(site, caplog) -> None:
    site.adapter("lora")
    registry(site, acme_1="reason = ")
    for _ in range(2):
        assert index_of(site).records[0].state == "ok"
    (message,) = [r.message for r in caplog.records if r.name == "ft"]
    assert "acme-registry: advisories/acme_1.toml" in message


def test_a_registry_that_cannot_be_read_hides_no_other(site) -> None:
    site.adapter("lora")
    site.registry("broken-registry", {"advisories/a_1.toml": "reason = "})
    site.registry("zeal-registry", {"advisories/z_1.toml": WARNING})
    (record,) = index_of(site).records
    assert record.state == "denied"
    assert "z_1" in record.reason


def test_a_registry_that_cannot_be_read_denies_all_in_mode_locked(site, tmp_path: Path) -> None:
    locked(site, tmp_path / "ran")
    registry(site, acme_1="reason = ")
    assert "advisories cannot be read: acme-registry: advisories/acme_1.toml" in refusal(site)
    assert not (tmp_path / "ran").exists()


def test_safe_mode_loads_nothing(site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "ran"
    site.adapter("lora", traced(trace))
    monkeypatch.setenv("FT_SAFE", "1")
    index = index_of(site)
    with pytest.raises(FtError, match="FT_SAFE is set"):
        load(index.find("adapter", "lora"))
    (found,) = examine(index.records)
    assert (found.record.state, found.milliseconds) == ("ok", None)
    assert "made_lora" not in sys.modules
    assert not trace.exists()
    monkeypatch.setenv("FT_SAFE", "0")
    assert load(index.find("adapter", "lora"))
