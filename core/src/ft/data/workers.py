"""Chunks encoded by several processes, each of which writes its chunks itself.

A worker is a program of its own, ``python -m ft.data.workers``, which imports nothing of the
program that started it. It gets the bound plugins of the run by pickle, loads the tokenizer,
and then takes chunk after chunk. What it makes of a chunk is what this process would have made.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api.run import Run
from ft.data.prepare import Raw, prepare_chunk
from ft.data.seeds import seeded
from ft.data.store import write_chunk

if TYPE_CHECKING:
    from ft.recipe.resolved import DataPart

MOST = 8
"""Workers at most: more than this process can read rows for."""
AHEAD = 2
"""Chunks that are read for each worker before the first of them is done."""

Task = tuple[int, Raw, Path]
"""The number of a chunk, its raw rows, its file."""


def write(run: Run, part: DataPart, task: Task) -> int:
    """Encode a chunk and write it; returns the number of its raw rows."""
    number, raw, file = task
    with seeded(run.seed, number):
        write_chunk(prepare_chunk(run, part, raw), file)
    return len(raw)


def worker_count() -> int:
    """The processes that this machine lets us keep busy."""
    allowed = getattr(os, "sched_getaffinity", None)
    return min(len(allowed(0)) if allowed else os.cpu_count() or 1, MOST)


def pickled(run: Run, part: DataPart) -> bytes | None:
    """What a worker begins with; ``None`` where a plugin cannot be handed over."""
    plugins = run.selection.all()
    about = (plugins, part, run.source, run.seed, run.model_folder, run.template_variables)
    with suppress(Exception):  # pickle lets through whatever a plugin's objects raise
        text = pickle.dumps(about)
        pickle.loads(text)
        return text
    return None


def write_all(about: bytes, tasks: Iterable[Task]) -> Iterator[int]:
    """Have workers encode chunks; yields the number of raw rows of each, in their order.

    Raises what encoding a chunk raised, of the first such chunk.
    """
    count = worker_count()
    idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
    workers = [_start(about) for _ in range(count)]
    for worker in workers:
        idle.put(worker)

    def done(task: Task) -> int:
        worker = idle.get()
        try:
            return _ask(worker, task)
        finally:
            idle.put(worker)

    pending: deque[Future[int]] = deque()
    try:
        with ThreadPoolExecutor(count) as threads:
            for task in tasks:
                pending.append(threads.submit(done, task))
                if len(pending) > AHEAD * count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for worker in workers:
            worker.kill()
            worker.communicate()


def _start(about: bytes) -> subprocess.Popen[bytes]:
    from ft.plugins import guard

    worker = subprocess.Popen(
        [sys.executable, "-m", "ft.data.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
    )
    worker.stdin.write(pickle.dumps(guard.state()) + about)  # type: ignore[union-attr]
    return worker


def _ask(worker: subprocess.Popen[bytes], task: Task) -> int:
    pickle.dump(task, worker.stdin)  # type: ignore[arg-type]
    worker.stdin.flush()  # type: ignore[union-attr]
    kind, answer = pickle.load(worker.stdout)  # type: ignore[arg-type]
    if kind is None:
        return answer
    error = kind.__new__(kind, str(answer))
    error.__dict__.update(answer)
    raise error


def main() -> None:
    """Be a worker: read what the run is, then a chunk at a time until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints must not get between the answers
    from ft.plugins import guard

    # what may not be imported there may not be here, where reading the plugins imports them
    guard.restore(pickle.load(sys.stdin.buffer))
    plugins, part, source, seed, folder, variables = pickle.load(sys.stdin.buffer)

    from ft.pipeline.defaults import DEFAULTS
    from ft.pipeline.load import load_config, load_processor
    from ft.plugins.selection import Selection

    run = Run(Selection(plugins, DEFAULTS), folder=Path(), source=source, seed=seed)
    run.model_folder = folder
    load_config(run)
    load_processor(run)
    run.template_variables = variables
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: tuple[Any, Any] = (None, write(run, part, task))
        except Exception as error:
            answer = (type(error), vars(error))
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
