"""What a person sees of a run: bars in a terminal, plain lines elsewhere. All on stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ft import api

PIECES, SHOWN = 6, 240
"""Of an example: the pieces that are shown, and the characters of each."""


class TerminalProgress(api.Progress):
    """Reports to the terminal, or line by line where there is none."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            Done(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._training: int | None = None

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def say(self, message: str) -> None:
        self.console.print(message, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        self.console.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)

    def example(self, pieces: Sequence[tuple[str, bool]]) -> None:
        colour = self.console.is_terminal
        shown = Text(f"the first row; trained is what is {'green' if colour else 'in [[ ]]'}:\n")
        for text, trained in pieces[:PIECES]:
            text = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} … {text[-SHOWN // 2 :]}"
            if trained:
                shown.append(text if colour else f"[[{text}]]", style="green")
            else:
                shown.append(text, style="dim")
        shown.append(" …" if len(pieces) > PIECES else "")
        shown.rstrip()
        self.console.print(shown)

    def track(self, label: str, total: float | None, unit: str = "") -> Callable[[float], None]:
        task = self._bars.add_task(label, total=total, metrics=unit)
        done = 0.0

        def advance(amount: float) -> None:
            nonlocal done
            done += amount
            self._bars.update(task, advance=amount, visible=total is None or done < total)

        return advance

    def step(self, metrics: Mapping[str, float], total_steps: int) -> None:
        if self._training is None:
            self._training = self._bars.add_task("training", total=total_steps, metrics="")
        self._bars.update(
            self._training,  # type: ignore[arg-type]
            completed=metrics["step"],
            metrics=f"loss {metrics['loss']:.3f} · {metrics['tokens_per_second']:,.0f} tok/s",
        )
        self.console.print(step_line(metrics, total_steps), markup=False, soft_wrap=True)

    def evaluated(self, metrics: Mapping[str, float]) -> None:
        found = " · ".join(f"{k} {v:.4f}" for k, v in metrics.items() if k != "step")
        self.console.print(Text(f"evaluation · {found}", style="cyan"), soft_wrap=True)


class Done(ProgressColumn):
    """``12/30`` where the total is known, ``12`` where it is not."""

    counted = MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.completed:,.0f}")
        return self.counted.render(task)


def step_line(metrics: Mapping[str, float], total_steps: int) -> str:
    """One step in less than 80 columns."""
    left = (total_steps - metrics["step"]) * metrics["seconds"] / metrics["step"]
    # where answers are rewarded, the loss is around 0 all the time
    learning = (
        f"  reward {metrics['reward']:<7.4f}"
        if "reward" in metrics
        else f"  loss {metrics['loss']:<7.4f}"
    )
    return (
        f"{metrics['step']:>{len(str(total_steps))}}/{total_steps}"
        f"{learning} lr {metrics['learning_rate']:.1e}"
        f"  grad {metrics['grad_norm']:<6.3g} {metrics['tokens_per_second']:>7,.0f} tok/s"
        f"  {metrics['memory'] / 2**30:.1f} GiB  {clock(left)}"
    )


def clock(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
