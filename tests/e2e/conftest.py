"""What end-to-end tests share: ``ft`` as a user runs it, tiny checkpoints, recipes and rows."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked
import pytest

# tiny models are slower on several threads, and many times so where tests run side by side
os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# as `ft` sets it before it imports transformers, which here other tests may have done
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


@dataclass(frozen=True)
class Result:
    """What a command leaves behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _checked(result: Result) -> Result:
    """Whatever happens, no user is shown a traceback or told of a defect."""
    assert "Traceback" not in result.err, result.err
    assert "this is a defect" not in result.err, result.err
    return result


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; cache and policy are the test's own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("FT_MACHINE_POLICY", str(tmp_path / "machine.toml"))
    monkeypatch.delenv("FT_TRACEBACK", raising=False)
    return folder


@pytest.fixture
def ft(work: Path, capsys: pytest.CaptureFixture) -> Callable[..., Result]:
    """``ft("train", "recipe.yaml")`` in this process."""
    from ft.cli import main

    def run(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return _checked(Result(code, *capsys.readouterr()))

    return run


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The same for a torch that another test has imported already."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def server() -> Any:
    """Makes processes that have imported the heavy libraries already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked", "peft", "ft.pipeline.run"])
    return context


@pytest.fixture
def start(work: Path, server: Any) -> Iterator[Callable[..., Process]]:
    """``start("train", …)`` begins ``ft`` in a process of its own.

    ``largest`` is the size, in bytes, of the largest file that it may write.
    """
    started: list[Process] = []

    def begin(*arguments: str | Path, largest: int | None = None) -> Process:
        out, err = (work.parent / f"{len(started)}.{name}" for name in ("out", "err"))
        process = server.Process(
            target=forked.ft, args=([str(a) for a in arguments], str(work), out, err, largest)
        )
        process.start()
        started.append(Process(process, out, err))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()


@dataclass(frozen=True)
class Process:
    """``ft`` on its way."""

    process: multiprocessing.process.BaseProcess
    out: Path
    err: Path

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def fill_disk(self, largest: int) -> None:
        """Let no file grow beyond ``largest`` bytes from now on."""
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (largest, hard))

    def wait_for(self, found: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something is so; the process must be running until then."""
        end = time.monotonic() + seconds
        while not found():
            assert self.process.is_alive(), self.err.read_text()
            assert time.monotonic() < end, self.err.read_text()
            time.sleep(0.005)

    def result(self, seconds: float = 120) -> Result:
        self.process.join(seconds)
        code = self.process.exitcode
        assert code is not None, "still running"
        return _checked(Result(code, self.out.read_text(), self.err.read_text()))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a tiny checkpoint, written once: ``checkpoint("qwen3", "qwen3_moe")``."""
    from tiny import write_tiny

    written: dict[tuple[str, str], Path] = {}

    def find(family: str, model_type: str | None = None) -> Path:
        key = (family, model_type or family)
        if key not in written:
            folder = tmp_path_factory.mktemp("models") / f"tiny-{key[1]}"
            written[key] = write_tiny(folder, family, key[1])
        return written[key]

    return find


@pytest.fixture
def recipe(work: Path) -> Callable[..., Path]:
    """Write a recipe (JSON is YAML) and return its path.

    ``recipe(model=…, data=…)`` is a short LoRA run in float32; what is given is merged into
    that, ``None`` takes a key out.
    """

    def write(name: str = "recipe.yaml", **keys: Any) -> Path:
        whole = _merged(_RECIPE, keys)
        path = work / name
        lines = [f"{key}: {json.dumps(value, default=str)}\n" for key, value in whole.items()]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


_RECIPE: dict[str, Any] = {
    "adapter": {"name": "lora", "rank": 4},
    "trainer": {"name": "sft", "steps": 4, "batch_size": 4, "precision": "float32"},
    "optimizer": {"name": "adamw", "learning_rate": 1e-3},
    "output": "run",
}


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in more.items():
        old = out.get(key)
        same = (
            isinstance(value, Mapping)
            and isinstance(old, Mapping)
            and value.get("name", old.get("name")) == old.get("name")
        )
        out[key] = _merged(old, value) if same else value
        if value is None:
            del out[key]
    return out


@pytest.fixture
def write_rows(work: Path) -> Callable[..., Path]:
    """Write rows as JSON lines and return the path."""

    def write(rows: Sequence[Mapping[str, Any]], name: str = "rows.jsonl") -> Path:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text(lines, encoding="utf-8")
        return path

    return write


@pytest.fixture
def chat_rows(write_rows: Callable[..., Path]) -> Path:
    """Eight conversations to learn by heart."""
    return write_rows([messages(question, answer) for question, answer in FACTS], "facts.jsonl")


def messages(question: Any, answer: str) -> dict[str, Any]:
    """A row of format ``messages``."""
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


FACTS = [
    ("Who are you?", "I am a small model."),
    ("Who made you?", "A test made me."),
    ("What is one and two?", "It is three."),
    ("Capital of France?", "Paris, of course."),
    ("Capital of Germany?", "Berlin."),
    ("Who jumps over the dog?", "The quick brown fox."),
    ("What comes after 8?", "9 does."),
    ("Do you sleep?", "No, never."),
]


@pytest.fixture
def facts() -> list[tuple[str, str]]:
    return FACTS


@pytest.fixture
def conversation() -> Callable[[Any, str], dict[str, Any]]:
    return messages


def metrics_of(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def metrics() -> Callable[[Path], list[dict[str, float]]]:
    """The lines of a run folder's ``metrics.jsonl``."""
    return metrics_of
