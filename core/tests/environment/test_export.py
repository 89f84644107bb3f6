"""``ft env export``: the lock as other tools read it, checked by those tools."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ft.cli import main
from ft.environment.lock import read_lock


def export(form: str) -> str:
    file = Path(f"made-{form}")
    assert main(["env", "export", "--format", form, "--output", str(file)]) == 0
    return file.read_text()


def test_pip_installs_the_requirements_and_checks_their_hashes(desk) -> None:
    desk.lock()
    export("requirements")
    subprocess.run([desk.python, "-m", "venv", "pips"], check=True, cwd=desk.folder)
    command = [desk.folder / "pips/bin/python", "-m", "pip", "install", "--require-hashes"]
    command += ["--no-index", "--find-links", desk.wheels, "-r", "made-requirements"]
    subprocess.run(command, check=True, capture_output=True)
    assert (desk.site(command[0]) / "made_adapter/part.py").is_file()

    desk.plugin("plugin = 'another'\n")
    done = subprocess.run([*command, "--force-reinstall"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


def test_constraints_have_every_version(desk, capsys: pytest.CaptureFixture) -> None:
    desk.lock()
    expected = "ft-adapter-made==0.1.0\nft-core==0.1.0\nother==0.1.0\n"
    assert export("constraints") == expected
    capsys.readouterr()
    assert main(["env", "export", "--format", "constraints"]) == 0
    assert capsys.readouterr().out == expected


def test_the_bill_of_materials_is_valid_and_says_everything(desk) -> None:
    desk.lock()
    text = export("cyclonedx")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    lock = read_lock(Path("pylock.toml"))
    assert bill["metadata"]["component"]["name"] == "team.toml"
    assert {
        (c["purl"], f"sha256:{file['hashes'][0]['content']}")
        for c in bill["components"]
        for file in c["externalReferences"]
    } == {(f"pkg:pypi/{e.name}@{e.version}", e.hashes[0]) for e in lock.packages}
    assert export("cyclonedx") == text
    desk.plugin("plugin = 2\n")
    desk.lock()
    assert json.loads(export("cyclonedx"))["serialNumber"] != bill["serialNumber"]


def test_markers_and_local_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker stays, and a plus sign in an address is written as it must be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    Path("pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "a"\nversion = "1+cpu"\n'
        "marker = \"sys_platform == 'linux'\"\n"
        f'wheels = [{{url = "https://a.example/a.whl", hashes = {{sha256 = "{"0" * 64}"}}}}]\n'
    )
    pinned = "a==1+cpu ; sys_platform == 'linux'"
    assert export("constraints") == f"{pinned}\n"
    assert export("requirements") == f"{pinned} \\\n    --hash=sha256:{'0' * 64}\n"
    text = export("cyclonedx")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["components"][0]["purl"] == "pkg:pypi/a@1%2Bcpu"


def test_requirements_are_not_written_without_a_hash(desk, capsys: pytest.CaptureFixture) -> None:
    desk.lock()
    desk.remove_hash()
    capsys.readouterr()
    assert main(["env", "export", "--format", "requirements"]) == 2
    said = capsys.readouterr()
    assert "ft-adapter-made has no hash for ft_adapter_made-0.1.0" in said.err
    assert said.out == ""


@pytest.mark.parametrize("form", ["requirements", "constraints", "cyclonedx"])
def test_what_has_no_version(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    Path("pylock.toml").write_text(
        'lock-version = "1.0"\n[[packages]]\nname = "a"\ndirectory = {path = "."}\n'
    )
    assert main(["env", "export", "--format", form]) == 2
    assert "pylock.toml:2: a has no version" in capsys.readouterr().err
