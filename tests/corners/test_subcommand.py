"""Corner: a plugin that brings ``ft hello``, and is not imported by ``ft --help``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SOURCE = """
print("imported")
import click
from ft.api import Command, hookimpl

class Hello(Command):
    @hookimpl
    def ft_command(self):
        @click.command()
        @click.argument("name", default="you")
        def hello(name):
            "Greet somebody."
            click.echo(f"hello {name}")
        return hello

command = Hello()
"""
METADATA = """Metadata-Version: 2.1
Name: ft-command-hello
Version: 1.0
Summary: Greets whoever you like
Requires-Dist: ft-core>=0.1,<1
"""


@pytest.fixture
def ft(tmp_path):
    """Runs ``ft`` beside an installed distribution; gives its output."""
    site = tmp_path / "site"
    info = site / "ft_command_hello-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "ft_command_hello.py").write_text(SOURCE)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text("[ft.command]\nhello = ft_command_hello:command\n")

    def call(*arguments):
        env = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [sys.executable, "-m", "ft", *arguments],
            env=env,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )

    return call


def test_help_names_it_without_importing_it(ft):
    done = ft("--help")
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout
    assert "Greets whoever you like" in done.stdout
    assert "imported" not in done.stdout


def test_it_runs(ft):
    done = ft("hello", "world")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["imported", "hello world"]


def test_its_own_help(ft):
    assert "Greet somebody." in ft("hello", "--help").stdout
