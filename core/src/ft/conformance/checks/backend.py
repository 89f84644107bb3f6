"""Backends: several processes, one training."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ft.api import Run
from ft.conformance.bench import assert_close, train
from ft.conformance.check import NotRun, Skip, check
from ft.conformance.launched import run_alike, trained
from ft.conformance.subject import Subject
from ft.plugins.selection import Selection


@check("backend")
def launches_once(subject: Subject) -> None:
    """It starts the program again as processes that go on by themselves.

    Why: ``ft_launch`` fires in every process, in those that it has started too. One that does
    not know itself in there starts processes without end.

    Passes: where the program is launched, it is launched once; its processes have the ranks
    from 0 up, each once, and agree on how many they are.

    Fails: a child that launches again; two processes of rank 0; a world size that differs from
    the number of processes.

    Example: ``a launched process launches the program again``.
    """
    found = launched(subject)
    assert not found.again, "a launched process launches the program again"
    told = heard(subject)
    ranks = sorted(one["rank"] for one in told)
    worlds = {one["world"] for one in told}
    assert ranks == list(range(len(ranks))), f"the processes have the ranks {ranks}"
    assert worlds == {len(ranks)}, f"of {len(ranks)} processes the world size is {worlds}"


@check("backend")
def tells_a_failure(subject: Subject) -> None:
    """Launching a program that fails gives an exit code other than 0.

    Why: a script that trains and then evaluates stops at the first command that fails, if that
    says so.

    Passes: launched with a program that leaves with code 3, ``ft_launch`` returns a number
    other than 0; with one that ends well, 0.

    Fails: an exit code that is not looked at; the code of the first process alone.

    Example: ``ft_launch returns 0 for a program that ends with exit code 3``.
    """
    for wanted in (3, 0):
        plugin = subject.bind()
        selection = Selection([plugin])
        run = Run(selection, folder=subject.folder)
        command = [sys.executable, "-c", f"raise SystemExit({wanted})"]
        code = selection.call(plugin, "ft_launch", run=run, command=command)
        if code is None:
            raise Skip("it stays in the process that it is in")
        assert isinstance(code, int), f"ft_launch returns {code!r} rather than an exit code"
        assert bool(code) == bool(wanted), (
            f"ft_launch returns {code} for a program that ends with exit code {wanted}"
        )


@check("backend")
def trains_as_one(subject: Subject) -> None:
    """Training under it gives the weights of a run without it.

    Why: how many processes share the work must not change what is learnt. A gradient that is
    summed where it should be averaged looks like another learning rate.

    Passes: four steps of plain gradient descent on seven rows in batches of four, a row in
    each forward pass, end with weights within 1e-4 of those of one process without a backend.

    Fails: gradients that are not averaged, or averaged twice; weights that start differently
    in each process; a row that two processes take.

    Example: ``lm_head.weight after training in 2 processes: Tensor-likes are not close!``.
    """
    found = launched(subject)
    assert not found.failure, f"the launched program fails: {found.failure}"
    assert found.weights.keys() == found.expected.keys(), (
        "the checkpoint of the launched run holds other tensors: "
        f"{sorted(found.weights.keys() ^ found.expected.keys())[:3]}"
    )
    what = f"after training in {len(found.told)} processes"
    for name, expected in found.expected.items():
        assert_close(found.weights[name], expected, f"{name} {what}", rtol=1e-4, atol=1e-4)


@check("backend")
def sums_keep_their_form(subject: Subject) -> None:
    """A sum over the processes has the form of what is summed.

    Why: core sums losses, counts and gradients, and stops all processes together by it.

    Passes: ``run.sum`` of a number gives a number, and of a tensor one of its shape, type and
    device, whose values are added over all processes; the given tensor stays.

    Fails: a tensor for a number; float32 for integers; a mean; a sum in place.

    Example: ``of the number 1.5 it gives a Tensor``.
    """
    for told in heard(subject):
        assert not told["sums"], told["sums"][0]


@check("backend")
def gives_the_group_back(subject: Subject) -> None:
    """At the end the process has left its group.

    Why: a notebook trains again in the same process, and a group that is left open keeps ports
    and memory, or hangs at the exit.

    Passes: after ``ft_end_process`` torch has no process group; and in a run that failed
    before the group was there, it raises nothing.

    Fails: a group that is never destroyed; one that is destroyed without asking whether it is
    there.

    Example: ``after ft_end_process the process group is still there``.
    """
    plugin = subject.bind()
    selection = Selection([plugin])
    selection.call(plugin, "ft_end_process", run=Run(selection, folder=subject.folder))
    for told in heard(subject):
        assert not told["group"], "after ft_end_process the process group is still there"


@dataclass
class Launched:
    """What came of the launched program, and the weights that one process arrives at.

    ``told`` has an entry for each process; ``failure`` is the program's last line where it
    ended with an error, ``refused`` what it said where it is not for this machine.
    """

    told: list[dict[str, Any]] = field(default_factory=list)
    weights: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    failure: str = ""
    refused: str = ""


_launched: dict[str, Launched] = {}
"""By plugin and sample: a launch imports torch once for each process, so all checks share it."""


def heard(subject: Subject) -> list[dict[str, Any]]:
    """What each process of the launched program says, of which there is one at least."""
    found = launched(subject)
    if not found.told:
        raise NotRun(f"no process of the launched program begins to train: {found.failure}")
    return found.told


def launched(subject: Subject) -> Launched:
    """Launch the program on the CPU, or on the accelerators of this machine if it must be."""
    import torch

    if subject.record is None:
        raise Skip("it comes from no distribution")
    key = json.dumps([subject.record.id, subject.record.distribution, dict(subject.sample)])
    if key not in _launched:
        found = launch(subject, "cpu")
        if found.refused and torch.cuda.is_available():
            found = launch(subject, "cuda")
        _launched[key] = found
    if _launched[key].refused:
        raise NotRun(f"it refuses to run here: {_launched[key].refused}")
    return _launched[key]


def launch(subject: Subject, device: str) -> Launched:
    """Train without the backend, then under it in processes of their own."""
    from safetensors.torch import load_file

    assert subject.record is not None
    folder = subject.folder
    plain = run_alike(subject, "plain", device, backend=None)
    train(plain)
    job = {"path": sys.path, "record": asdict(subject.record), "sample": dict(subject.sample)}
    text = json.dumps({**job, "device": device})
    (folder / "job.json").write_text(text, encoding="utf-8")
    for old in (*folder.glob("told-*"), *folder.glob("refused.txt")):
        old.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "ft.conformance.launched", str(folder), "0"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    found = Launched(expected=trained(plain), again=(folder / "launched-again").exists())
    if (refused := folder / "refused.txt").exists():
        found.refused = refused.read_text(encoding="utf-8")
        return found
    told = [path.read_text(encoding="utf-8") for path in folder.glob("told-*")]
    found.told = [json.loads(text) for text in told]
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        found.failure = said[-1] if said else f"exit code {done.returncode}"
    elif not (folder / "trained.safetensors").exists():
        found.failure = "no process takes itself for the main one, which writes the result"
    else:
        found.weights = load_file(folder / "trained.safetensors")
    return found
