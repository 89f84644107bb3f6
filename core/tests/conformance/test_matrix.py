"""``ft matrix --run``: each pair trains, is refused or fails by itself, and results are kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ft.conformance.matrix import Results, tables_of, try_tables
from ft.conformance.pairs import STEPS
from ft.conformance.process import Limits
from ft.errors import InputError
from ft.plugins.index import Index, read_index

HEADERS = "License-Expression: Apache-2.0\n"
ADAPTER = """
import os, time
from ft.api import hookimpl
from ft.conformance.reference.adapter import LowRank

def idle(layer, inputs, output):
    return output + 0 * layer.update["first"]["up"].sum()

class Made(LowRank):
    '''A low-rank update, and something else.'''

    {settings}

    @hookimpl
    def ft_adapt_model(self, run, model):
        {code}
        return super().ft_adapt_model(run=run, model=model)

plugin = Made()
"""
NONE = "accepts = frozenset()"
MADE = {
    "fine": ("", "pass"),
    "refuses": (NONE, "pass"),
    "crashes": ("", "os._exit(7)"),
    "hangs": ("", "time.sleep(600)"),
    "breaks": ("", "model.config.there_is_no_such_thing"),
    "idles": ("", "self.add_update = idle"),
}
QUANTIZER = "from ft.conformance.reference.quantizer import quantizer as plugin\n"


@pytest.fixture
def index(site: Any) -> Index:
    """The adapters above and the reference quantizer, as installed distributions."""
    for name, (settings, code) in MADE.items():
        source = ADAPTER.format(settings=settings, code=code)
        site.add(
            f"ft-adapter-{name}", {f"adapter:{name}": f"m_{name}:plugin"}, source, headers=HEADERS
        )
    site.add("ft-quantizer-q", {"quantizer:q": "m_q:plugin"}, QUANTIZER, headers=HEADERS)
    records = read_index([str(site.path), *sys.path]).records
    return Index([r for r in records if r.location.startswith(str(site.path))])


def run(index: Index, file: Path | None, *only: str, seconds: float = 60) -> dict[str, Any]:
    """What comes of the pairs that are tried, and what is told of all."""
    tables = tables_of(index, [("adapter", "quantizer")], only)
    results = Results(file)
    limits = Limits(seconds=seconds)
    tried = dict(try_tables(tables, index, results, jobs=2, limits=limits))
    (_, trials) = results.of_table(tables[0], index)
    return {
        "tried": tried,
        "all": dict(zip(tables[0].rows, (row[0] for row in trials), strict=True)),
    }


def test_each_pair_ends_as_it_must(index: Index, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    found = run(index, file, *(f"adapter:{name}" for name in MADE if name != "hangs"))
    trials = found["all"]
    assert len(found["tried"]) == len(MADE) - 2  # what is refused is not tried
    fine = trials["fine"]
    assert fine.became == "trains"
    assert len(fine.losses) == STEPS
    assert fine.losses[-1] < fine.losses[0]
    assert trials["refuses"].became == "refused"
    assert "which adapter:refuses does not accept" in trials["refuses"].why[0]
    said = {name: trial.why[0] for name, trial in trials.items() if trial.became == "failed"}
    assert said.keys() == {"crashes", "breaks", "idles"}
    assert "ended its process (exit code 7)" in said["crashes"]
    assert said["idles"].startswith("it does not learn at the learning rates 0.01")
    assert "there_is_no_such_thing" in said["breaks"]

    kept = json.loads(file.read_text("utf-8"))
    assert kept["pairs"]["adapter:fine quantizer:q"]["became"] == "trains"
    assert kept["versions"]["torch"]

    again = run(index, file, "adapter:fine", "adapter:breaks", "adapter:refuses")
    assert again["tried"].keys() == {"adapter:breaks quantizer:q"}


def test_one_that_hangs_is_ended(index: Index) -> None:
    (trial,) = run(index, None, "adapter:hangs", seconds=4)["tried"].values()
    assert (trial.became, trial.why) == ("failed", ("it did not end within 4 s",))


@pytest.mark.parametrize("part", ["plugins", "versions"])
def test_what_was_installed_anew_is_tried_again(index: Index, tmp_path: Path, part: str) -> None:
    file = tmp_path / "found.json"
    assert len(run(index, file, "adapter:fine")["tried"]) == 1
    assert not run(index, file, "adapter:fine")["tried"]
    kept = json.loads(file.read_text("utf-8"))
    kept[part] |= {"adapter:fine": "another", "torch": "another"}
    file.write_text(json.dumps(kept), encoding="utf-8")
    assert len(run(index, file, "adapter:fine")["tried"]) == 1


def test_what_cannot_be_asked(index: Index, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not tried with a template"):
        tables_of(index, [("adapter", "template")])
    with pytest.raises(InputError, match="not tried with a adapter"):
        tables_of(index, [("adapter", "adapter")])
    with pytest.raises(InputError):
        tables_of(index, [("adapter", "quantizer")], ["adapter:absent"])
    with pytest.raises(InputError):
        tables_of(index, [("adapter", "quantizer")], ["fine"])
    (tmp_path / "odd.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="no file of results"):
        Results(tmp_path / "odd.json")
