"""``ft train`` and ``ft resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft.cli.output import print_json

if TYPE_CHECKING:
    from ft.api import Run


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train(recipe: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train as RECIPE says; KEY=VALUE changes single values, such as adapter.rank=32.

    Ctrl-C ends after the current step with a checkpoint; `ft resume` goes on from there.
    """
    from ft.cli.progress import TerminalProgress
    from ft.cli.quiet import quiet_libraries
    from ft.pipeline.run import execute
    from ft.plugins.policy import installed_index
    from ft.recipe.alternatives import refuse_misfits
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    quiet_libraries()
    with TerminalProgress() as progress:
        index = installed_index()
        resolved = resolve(read_recipe(recipe, overrides), index, progress=progress)
        refuse_misfits(resolved.selection.all(), index)
        run = execute(resolved, progress)
    _print_outcome(run, as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--step", type=int, help="Go on from the checkpoint of this step.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def resume(run: Path, overrides: tuple[str, ...], step: int | None, as_json: bool) -> None:
    """Continue the run in folder RUN from its last checkpoint.

    KEY=VALUE changes options of the trainer, or the learning rate, from here on.
    """
    from ft.cli.progress import TerminalProgress
    from ft.cli.quiet import quiet_libraries
    from ft.pipeline.resume import resume_run
    from ft.plugins.policy import installed_index

    quiet_libraries()
    with TerminalProgress() as progress:
        finished = resume_run(run, installed_index(), progress, step=step, overrides=overrides)
    _print_outcome(finished, as_json)


def _print_outcome(run: Run, as_json: bool) -> None:
    """Where everything lies, and what to do next."""
    # a trainer with a loop of its own may have told of no loss
    losses = [line["loss"] for line in run.state.history if "loss" in line]
    outcome = {
        "result": str(run.folder / "result"),
        "report": str(run.folder / "report.md"),
        "loss_curve": str(run.folder / "loss.png") if losses else None,
        "steps": run.state.step,
        "loss": losses[-1] if losses else None,
        "seconds": run.state.seconds,
        "tokens_per_second": run.state.tokens / max(run.state.seconds, 1e-9),
    }
    if as_json:
        print_json(outcome)
        return
    loss = f"loss {losses[-1]:.4f}, " if losses else ""
    click.echo(f"done: {run.state.step} steps, {loss}{run.state.seconds:.0f} s")
    click.echo(f"  result  {outcome['result']}")
    click.echo(f"  report  {outcome['report']}" + ("  (loss curve: loss.png)" if losses else ""))
    click.echo(f"  next    ft chat {run.folder}  |  ft export {run.folder}")
