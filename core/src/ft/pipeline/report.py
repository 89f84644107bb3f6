"""The report of a run: ``loss.png`` and ``report.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ft.api import Run
from ft.data.report import Report
from ft.pipeline.folder import RECIPE, RESOLVED, RESULT
from ft.recipe.resolved import Resolved
from ft.training.meter import peak_memory


def write_report(run: Run, resolved: Resolved) -> None:
    """Write the picture of the loss and the page that sums the run up.

    A trainer with a loop of its own may have told of no loss; there is no picture then.
    """
    if any("loss" in line for line in run.state.history):
        plot_loss(run.state.history, run.folder / "loss.png")
    (run.folder / "report.md").write_text(report(run, resolved), encoding="utf-8")


def plot_loss(history: list[dict[str, float]], target: Path) -> None:
    """Training loss, its running mean, and each evaluation loss over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [line for line in history if "loss" in line]
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    x = [line["step"] for line in steps]
    y = [line["loss"] for line in steps]
    axes.plot(x, y, color="#9db4d8", linewidth=1, label="loss of a step")
    axes.plot(x, smoothed(y), color="#1f4e9c", linewidth=2, label="running mean")
    for key in sorted({key for line in history for key in line if key.endswith("/loss")}):
        points = [(line["step"], line[key]) for line in history if key in line]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=key)
    axes.set(xlabel="step", ylabel="loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(target)


def smoothed(values: list[float]) -> list[float]:
    """The exponential running mean over about a tenth of the run.

    Corrected for its start at zero, as Adam's moments are.
    """
    out, mean = [], 0.0
    keep = min(0.98, max(0.5, 1 - 10 / max(1, len(values))))
    for count, value in enumerate(values, 1):
        mean = keep * mean + (1 - keep) * value
        out.append(mean / (1 - keep**count))
    return out


def report(run: Run, resolved: Resolved) -> str:
    """The page, in Markdown."""
    steps = [line for line in run.state.history if "loss" in line]
    trained = sum(p.numel() for _, p in run.trainable())
    total = sum(p.numel() for p in run.model.parameters())
    parts: dict[str, str] = {}
    for plugin in run.parts():  # of some kinds there are several
        named = f"{plugin.name} {plugin.distribution}".strip()
        parts[plugin.kind] = ", ".join(filter(None, (parts.get(plugin.kind), named)))
    facts = {
        "model": resolved.source,
        "trained parameters": f"{trained:,} of {total:,} ({trained / total:.2%})",
        "steps": f"{run.state.step} ({run.state.epoch:.2f} epochs)",
        **(
            {"loss": f"{steps[0]['loss']:.4f} at first, {steps[-1]['loss']:.4f} at last"}
            if steps
            else {}
        ),
        "time": f"{run.state.seconds:.1f} s of training",
        "speed": f"{run.state.tokens / max(run.state.seconds, 1e-9):,.0f} tokens/s",
        "peak memory": f"{peak_memory(run) / 2**30:.2f} GiB",
        **({"changed for lack of memory": "; ".join(_adapted(run))} if run.state.adapted else {}),
        "device": str(run.device),
    }
    evaluations = {
        key: value
        for line in run.state.history
        for key, value in line.items()
        if "loss" not in line and key != "step"
    }
    return (
        "\n\n".join(
            block
            for block in (
                f"# {run.folder.name}",
                table("run", facts),
                "![loss](loss.png)" if steps else "",
                table("last evaluation", evaluations) if evaluations else "",
                "## Parts\n\n" + table("kind", parts),
                "## Data\n\n" + table("rows", _counts(run.data.report)),
                *(
                    table(f"rows of {name}, to measure on", _counts(rows.report))
                    for name, rows in run.eval_data.items()
                    # rows of a trainer's own making are not counted
                    if hasattr(rows, "report")
                ),
                "## Where things are\n\n"
                + table(
                    "file",
                    {
                        f"`{RESULT}/`": "trained weights, tokenizer, chat template",
                        f"`{RECIPE}`": "the recipe as written",
                        f"`{RESOLVED}`": "every value, and who set it",
                        "`ft.lock`": "versions and digests of all that went in",
                        "`checkpoints/`": "what `ft resume` goes on from",
                    },
                ),
            )
            if block
        )
        + "\n"
    )


def _counts(report: Report) -> dict[str, str]:
    """The numbers of a report, without what happened to no row."""
    counts = {k: v for k, v in report.as_dict().items() if v}
    return {name.replace("_", " "): _shown(value) for name, value in counts.items()}


def _adapted(run: Run) -> list[str]:
    return [f"{name.replace('_', ' ')} {value}" for name, value in run.state.adapted.items()]


def _shown(value: object) -> str:
    """A count, counts by reason, or a list, in a cell of a table."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return "; ".join(f"{count:,} {reason}" for reason, count in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def table(head: str, rows: Mapping[str, object]) -> str:
    """A two-column Markdown table."""
    return "\n".join([f"| {head} | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())])
