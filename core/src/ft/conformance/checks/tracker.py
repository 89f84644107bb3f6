"""Trackers: they watch a run, and the run is none the worse."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ft.api import Run, RunError
from ft.conformance.around import end
from ft.conformance.bench import changed, random_rows, some, tiny_run, train, weights
from ft.conformance.check import Skip, check
from ft.conformance.checks.engine import generators
from ft.conformance.subject import Subject

STEPS = 4


@check("tracker")
def works_through_a_run(subject: Subject) -> None:
    """It hears a whole run without failing, one that ends with an error too.

    Why: a tracker that raises is left out, and what comes after is missing from its records.

    Passes: a run of four steps with evaluations and checkpoints, once to the end and once
    ended by an error, leaves nobody out.

    Fails: a name of a metric that it cannot write (they hold slashes); a hook that needs what
    another hook set up, in a run that fails before its first step.

    Example: ``<tracker:board> failed in ft_evaluated (KeyError: 'loss') and is left out``.
    """
    run = watched_run(subject, "whole")
    train(run)
    finish(run)
    assert_nobody_left_out(run)
    run = watched_run(subject, "failing")
    finish(run, RunError("the disk is full"))  # before anything was told
    assert_nobody_left_out(run)


@check("tracker")
def changes_nothing(subject: Subject) -> None:
    """A run with it trains as one without.

    Why: who looks at a run must not change it.

    Passes: weights after four steps with evaluations, and the random generators of python,
    numpy and torch, are the same with the tracker and without.

    Fails: a name drawn from the run's generators; gradients that are cleared or scaled to be
    measured; ``run.state.stop``.

    Example: ``with the tracker the random generator of python ends elsewhere``.
    """
    ends: list[tuple[Run, dict[str, Any]]] = []
    for tracker in (subject.bind(), None):
        run = watched_run(subject, f"run-{len(ends)}", tracker=tracker)
        train(run)
        ends.append((run, generators()))
        finish(run)
    (watched, states), (plain, expected) = ends
    assert watched.state.step == plain.state.step, (
        f"with the tracker the run ends after {watched.state.step} of {plain.state.step} steps"
    )
    differing = changed(watched, weights(plain))
    assert not differing, f"with the tracker other weights come out: {some(differing)}"
    moved = {name for name, state in states.items() if state != expected[name]}
    assert not moved, f"with the tracker the random generator of {some(moved)} ends elsewhere"


@check("tracker")
def goes_on_with_its_files(subject: Subject) -> None:
    """A run that is resumed goes on with the same files.

    Why: a run that was stopped twice is one run, and its curve has one beginning.

    Passes: a run is stopped after its second step, whose checkpoint is there, and resumed in
    the same folder. Every file that the tracker had written is still there; of a text file all
    its lines are, and none that holds a loss is there once more.

    Fails: a file that is opened with ``"w"``; one that is told the first steps twice.

    Example: ``told.jsonl loses 2 of its 3 lines when the run is resumed``.
    """
    first = watched_run(subject, "run", steps=2)
    without = {path.name for path in first.folder.iterdir()}
    figures = {str(loss)[:4] for loss in train(first)}
    finish(first, KeyboardInterrupt())
    before = files_of_tracker(first, without)
    if not before:
        raise Skip("it writes no files")
    again = watched_run(subject, "run", steps=STEPS)
    train(again, first.folder / "checkpoints" / "step-000002")
    finish(again)
    after = files_of_tracker(again, without)
    gone = before.keys() - after.keys()
    assert not gone, f"{some(gone)} is gone when the run is resumed"
    for name, content in before.items():
        if (old := lines(content)) is None or (new := lines(after[name])) is None:
            assert len(after[name]) >= len(content), (
                f"{name} has {len(after[name])} bytes after resuming, and {len(content)} before"
            )
            continue
        lost = old - new
        assert not lost, (
            f"{name} loses {lost.total()} of its {old.total()} lines when the run is resumed"
        )
        twice = {
            line
            for line, times in new.items()
            if times > old.get(line, times) and any(figure in line for figure in figures)
        }
        assert not twice, f"{name} has a line twice after resuming: {next(iter(twice))[:100]}"


@check("tracker")
def closes_its_files(subject: Subject) -> None:
    """When the run has ended its files are closed.

    Why: what is still in a buffer is lost with the process, and a notebook that trains ten
    times holds ten open files.

    Passes: after ``ft_run_finished``, or ``ft_run_failed``, and ``ft_end_process`` this process
    has no file open in the run folder.

    Fails: a writer that is closed by ``ft_run_finished`` alone, or never.

    Example: ``after a run that failed these files are still open: events.out``.
    """
    import psutil

    for how, error in (("ended", None), ("failed", RunError("the disk is full"))):
        run = watched_run(subject, how, steps=2)
        train(run)
        finish(run, error)
        folder = str(run.folder.resolve())
        left = [
            Path(file.path).name
            for file in psutil.Process().open_files()
            if file.path.startswith(folder)
        ]
        assert not left, f"after a run that {how} these files are still open: {some(left)}"


def watched_run(subject: Subject, folder: str, steps: int = STEPS, **parts: Any) -> Run:
    """A run with the tracker that evaluates and saves every second step."""
    options = {"steps": steps, "batch_size": 2, "save_every": 2, "eval_every": 2}
    run = tiny_run(subject, folder=folder, trainer={**options, "keep_checkpoints": 9}, **parts)
    run.eval_data = {"held-out": random_rows(2, seed=2)}
    return run


def finish(run: Run, error: BaseException | None = None) -> None:
    """Tell that the run has ended, as the pipeline does."""
    if error is None:
        run.selection.notify("ft_run_finished", run=run)
    else:
        run.selection.notify("ft_run_failed", run=run, error=error, ending=True)
    end(run)


def assert_nobody_left_out(run: Run) -> None:
    """No observer has failed."""
    failed = [line for line in run.progress.lines if "is left out" in line]  # type: ignore[attr-defined]
    assert not failed, failed[0]


def files_of_tracker(run: Run, others: set[str]) -> dict[str, bytes]:
    """Name → content of each file in the run folder that is neither core's nor in ``others``."""
    return {
        str(path.relative_to(run.folder)): path.read_bytes()
        for path in run.folder.rglob("*")
        if path.is_file() and path.relative_to(run.folder).parts[0] not in {"checkpoints", *others}
    }


def lines(content: bytes) -> Counter[str] | None:
    """The lines of a text, each with how often it is there; ``None`` for anything else."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else Counter(text.splitlines())
