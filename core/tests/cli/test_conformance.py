"""``ft plugins test`` and ``ft plugins checks`` as a person sees them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ft.conformance.check import checks

GOOD = '''
from ft.api import Adapter

class Fine(Adapter):
    """Trains all."""

plugin = Fine()
'''
LICENCE = "License-Expression: Apache-2.0\nRequires-Python: >=3.11\n"


def test_a_plugin_is_tried_up_to_a_level(site, ft) -> None:
    site.adapter("fine", GOOD, headers=LICENCE)
    result = ft("plugins", "test", "adapter:fine", "--level", "1", "--json", "r.json")
    assert result.code == 0, result.out
    assert "adapter:fine  L1 loads" in result.out
    assert "ft-core 0.1.0" in result.out
    assert str(site.path) in result.out
    (plugin,) = json.loads(Path("r.json").read_text())["plugins"]
    assert (plugin["plugin"], plugin["level"], plugin["tried"]) == ("adapter:fine", 1, 1)
    assert "L1" in ft("plugins", "list", "--kind", "adapter").out
    assert "proved here: L1 by kit" in ft("plugins", "info", "adapter:fine").out


def test_a_failing_check_is_named_with_its_reason(site, ft) -> None:
    site.adapter("bad", "import sys; sys.exit(3)\n", headers=LICENCE)
    site.adapter("fine", GOOD, headers=LICENCE)
    result = ft("plugins", "test", "adapter:bad", "adapter:fine", "--level", "1")
    assert result.code == 1
    assert re.search(r"failed  every\.[a-z-]+ \(L0\) and \d+ more", result.out)
    assert "sys.exit(3)" in result.out
    assert "ft plugins checks" in result.out
    assert "2 plugins: " in result.out
    assert "adapter:fine  L1 loads" in result.out


def test_all_plugins_of_a_distribution(site, ft) -> None:
    site.add("pair", {"adapter:one": "pair:plugin", "adapter:two": "pair:plugin"}, GOOD)
    result = ft("plugins", "test", "--dist", "Pair", "--level", "0", "--html", "r.html")
    assert "adapter:one" in result.out
    assert "adapter:two" in result.out
    assert "<title>Conformance of 2 plugins" in Path("r.html").read_text(encoding="utf-8")


def test_what_is_proved_is_left_out_until_it_changes(site, ft) -> None:
    for name in ("fine", "other"):
        site.adapter(name, GOOD, headers=LICENCE)
    again = ("plugins", "test", "--dist", "ft-adapter-fine", "--dist", "ft-adapter-other")
    first = ft("plugins", "test", "adapter:fine", "--level", "1")
    assert first.code == 0, first.out
    result = ft(*again, "--level", "1", "--changed")
    assert "1 plugins are proved, 1 are tried" in result.out
    assert "adapter:other  L1" in result.out
    assert "adapter:fine" not in result.out
    assert ft(*again, "--level", "1", "--changed").out.startswith("2 plugins are proved, 0")
    assert "2 are tried" in ft(*again, "--level", "2", "--changed").out
    shutil.rmtree(site.path / "ft_adapter_fine-0.1.0.dist-info")
    site.adapter("fine", GOOD.replace("Trains", "Teaches"), headers=LICENCE)
    assert "1 are tried" in ft(*again, "--level", "1", "--changed").out


def test_shards_share_the_distributions(site, ft) -> None:
    site.add("pair", {"adapter:one": "pair:plugin", "adapter:two": "pair:plugin"}, GOOD)
    site.adapter("fine", GOOD, headers=LICENCE)
    tried = []
    for part in ("1/2", "2/2"):
        names = ("adapter:one", "adapter:two", "adapter:fine")
        ft("plugins", "test", *names, "--level", "0", "--shard", part, "--json", "r.json")
        found = json.loads(Path("r.json").read_text())["plugins"]
        tried.append({plugin["plugin"] for plugin in found})
    assert tried == [{"adapter:fine"}, {"adapter:one", "adapter:two"}]
    result = ft("plugins", "test", "adapter:fine", "--shard", "3/2")
    assert result.code == 2
    assert "--shard 3/2: this is no part of a whole" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no plugin is named"),
        (("--dist", "nowhere"), "no plugin of a distribution nowhere is installed"),
        (("adapter:nowhere",), "no adapter 'nowhere' is installed"),
    ],
)
def test_what_is_not_there_is_named(site, ft, arguments, words) -> None:
    result = ft("plugins", "test", *arguments)
    assert result.code == 2
    assert words in result.err


def test_checks_are_listed_and_explained(site, ft) -> None:
    listed = ft("plugins", "checks").out
    assert all(id in listed for id in checks())
    assert max(map(len, listed.splitlines())) <= 80
    models = ft("plugins", "checks", "--kind", "model").out
    assert "model.loss-falls" in models
    assert "every.imports" in models
    assert "template." not in models
    shown = ft("plugins", "checks", "model.loss-falls").out
    assert "Why: " in shown
    assert "Example: " in shown
    assert max(map(len, shown.splitlines())) <= 80
    (data,) = json.loads(ft("plugins", "checks", "model.loss-falls", "--json").out)
    assert (data["id"], data["level"], data["kind"]) == ("model.loss-falls", 2, "model")


def test_an_unknown_check_suggests_a_known_one(site, ft) -> None:
    result = ft("plugins", "checks", "model.loss-fals")
    assert result.code == 2
    assert "did you mean model.loss-falls?" in result.err
