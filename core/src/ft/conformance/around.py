"""The kinds that stand around a run, each used once and quickly as a run uses it.

What an exercise returns is the same for every honest plugin under the same seed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Conversation, Message, Plugin, Progress, Prompt, Run, Sampling, Source
from ft.conformance.bench import random_rows, save, tiny_run, train
from ft.conformance.examples import TURNS, examples_of
from ft.conformance.subject import Subject
from ft.conformance.tiny import write_tiny

if TYPE_CHECKING:
    from torch import nn

QUICK = {"steps": 2, "batch_size": 2}
MISSING = "no-such-thing-of-the-kit"
"""What no source has: a path, a repository and a package could be called so."""


def use_kernel(subject: Subject) -> list[float]:
    """Train two steps under it, and let it clean up."""
    run = tiny_run(subject, trainer=QUICK)
    losses = train(run)
    end(run)
    return losses


def use_backend(subject: Subject) -> list[float] | int:
    """Launch a program that does nothing; where it stays in this process, train two steps."""
    run = tiny_run(subject, trainer=QUICK, backend=None)
    plugin = subject.bind()
    run = with_part(run, plugin)
    code = run.hook.ft_launch(run=run, command=[sys.executable, "-c", "pass"])
    if code is not None:
        return code
    excepthook = sys.excepthook
    try:
        run.hook.ft_start_process(run=run)
        return train(run)
    finally:
        end(run)
        sys.excepthook = excepthook  # torch replaces it with its process group, for good


def use_engine(subject: Subject) -> list[tuple[str, list[int]]]:
    """Answer two questions, and sample another answer."""
    run = tiny_run(subject)
    answers = run.generate(questions(2), Sampling(max_new_tokens=4))
    answers += run.generate(questions(1), Sampling(max_new_tokens=4, temperature=1.0, seed=5))
    return [(answer.text, list(answer.token_ids)) for answer in answers]


def use_exporter(subject: Subject) -> list[str]:
    """Export a trained adapter; the names of the files that are written."""
    run = trained_run(subject)
    folder = subject.folder / "out"
    export(run, folder)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def use_evaluator(subject: Subject) -> dict[str, float]:
    """Measure a fresh model."""
    from ft.training.evaluate import evaluate

    run = run_of_evaluator(subject)
    return evaluate(run, run.model)


def use_reward(subject: Subject) -> list[float | None]:
    """Score eight answers."""
    return score(run_of_reward(subject), *answered())


def use_tracker(subject: Subject) -> list[float]:
    """Train two steps with an evaluation, to the end."""
    run = tiny_run(subject, trainer={**QUICK, "save_every": 1})
    run.eval_data = {"held-out": random_rows(2, seed=2)}
    losses = train(run)
    run.selection.notify("ft_run_finished", run=run)
    end(run)
    return losses


def use_source(subject: Subject) -> list[str]:
    """Look for what it can find without a network; the files there."""
    plugin, name = prepared_source(subject)
    if name is None:
        return []
    found = resolve(plugin, subject, name, "model")
    return sorted(str(path.relative_to(found)) for path in found.rglob("*"))


def use_command(subject: Subject) -> str:
    """Ask for its help."""
    import click

    command = subject.bind().ft_command()
    return command.get_help(click.Context(command, info_name=subject.name))


EXERCISES: dict[str, Callable[[Subject], Any]] = {
    "kernel": use_kernel,
    "backend": use_backend,
    "engine": use_engine,
    "exporter": use_exporter,
    "evaluator": use_evaluator,
    "reward": use_reward,
    "tracker": use_tracker,
    "source": use_source,
    "command": use_command,
}
"""Kind → a function that uses a plugin once; what it returns is there to be compared."""


def end(run: Run) -> None:
    """Have every plugin of a run put back what it changed outside of it."""
    run.selection.notify("ft_end_process", run=run, ending=True)


def with_part(run: Run, plugin: Plugin) -> Run:
    """The run with one more plugin, which was not asked while the run was put together."""
    from ft.plugins.selection import Selection

    run.selection = Selection([*run.parts(), plugin], run.selection.defaults)
    return run


def questions(count: int) -> list[Conversation]:
    """Prompts of different lengths."""
    asked = [turn[0] for turn in TURNS]
    return [
        Conversation([Message("user", " ".join(asked[n : n + 1 + n % 3]))]) for n in range(count)
    ]


def answered() -> tuple[list[Conversation], list[Mapping[str, Any]]]:
    """Answers, right and wrong ones, and the columns of their rows."""
    prompts: Sequence[Prompt] = examples_of(Prompt)
    given = [TURNS[n if n % 2 else n - 3][1] for n in range(len(prompts))]
    conversations = [
        Conversation([*prompt.messages, Message("assistant", text)])
        for prompt, text in zip(prompts, given, strict=True)
    ]
    return conversations, [prompt.extra for prompt in prompts]


def run_of_reward(subject: Subject) -> Run:
    """A run with the reward, and an engine for one that asks the model."""
    return tiny_run(subject, engine=subject.partner("engine").bind("reference"))


def score(
    run: Run, conversations: Sequence[Conversation], extras: Sequence[Mapping[str, Any]]
) -> list[float | None]:
    """What the reward of a run makes of answers, as it says it."""
    plugin = run.part("reward")
    arguments = {"run": run, "conversations": conversations, "extras": extras}
    return run.selection.call(plugin, "ft_score", **arguments)


def run_of_evaluator(subject: Subject) -> Run:
    """A run with the evaluator, an evaluation set, and an engine and a reward beside it."""
    engine, reward = (subject.partner(kind).bind("reference") for kind in ("engine", "reward"))
    run = tiny_run(subject, engine=engine, reward=reward)
    run.eval_data = {"held-out": random_rows(3, seed=2)}
    return run


def trained_run(subject: Subject, *, adapter: bool = True, **parts: Any) -> Run:
    """A finished run of the reference adapter, its result saved where a run has it."""
    run = tiny_run(subject, adapter=adapter, **parts)
    train(run)
    save(run)
    return run


def export(run: Run, folder: Path) -> Path:
    """Export a run's result into a new folder, as the pipeline does."""
    folder.mkdir(parents=True)
    return run.selection.call(run.part("exporter"), "ft_export", run=run, folder=folder)


def exported(run: Run, folder: Path) -> nn.Module:
    """The model that an export wrote into ``folder``."""
    return run.load_base(folder)


def prepared_source(subject: Subject) -> tuple[Source, str | None]:
    """A source, and the name of a tiny checkpoint that it finds, if there can be one."""
    plugin: Source = subject.bind()
    folder = subject.folder / "things" / "tiny"
    if not folder.exists():
        family: Any = subject.partner("model")
        write_tiny(folder, family, family.model_types[0], subject.partner("template"))  # type: ignore[arg-type]
    return plugin, plugin.tiny(folder)


def resolve(
    plugin: Source, subject: Subject, name: str, what: str, progress: Progress | None = None
) -> Path:
    """Where a source finds something, as a run asks for it."""
    from ft.plugins.selection import Selection

    selection = Selection([plugin])
    run = Run(selection, folder=subject.folder, source=name, progress=progress)
    with offline():
        return selection.call(plugin, "ft_resolve_source", run=run, source=name, what=what)


@contextmanager
def offline() -> Iterator[None]:
    """Programs that are started within reach no network, and give up on it at once."""
    nowhere = "http://127.0.0.1:9"
    settings = {
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere),
        **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), nowhere),
        "NO_PROXY": "",
        "no_proxy": "",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
