"""What every script of this folder shares: the work, what is recorded of it, the result line.

A script gets one JSON object on its command line, the fields of :class:`Work`, trains, and
prints ``RESULT`` and one JSON object. All measure alike: a token is real when it is no padding,
a step ends when the device has finished it, and nothing is saved to disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

RANK, ALPHA = 16, 32
LEARNING_RATE = 1e-4
ROWS = "alpaca_en_demo.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PADDING = "<|endoftext|>"
PACKAGES = (
    "ft-core",
    "llamafactory",
    "unsloth",
    "trl",
    "torch",
    "triton",
    "transformers",
    "peft",
    "accelerate",
    "liger-kernel",
    "galore-torch",
    "bitsandbytes",
    "xformers",
)


@dataclass(frozen=True)
class Work:
    """What is trained, and how: the same for every stack except for ``settings``.

    ``model`` is a checkpoint's folder, ``data`` the folder of :data:`ROWS`, ``scratch`` where
    a script may write. The first ``warmup`` of ``steps`` optimizer steps are not timed.
    ``settings`` are the stack's own: each script says what it makes of them.
    """

    model: str
    data: str
    scratch: str
    method: str = "lora"
    steps: int = 30
    warmup: int = 10
    batch_size: int = 4
    max_length: int = 2048
    settings: dict[str, Any] = field(default_factory=dict)

    def rows(self) -> list[dict[str, str]]:
        """The rows, in Alpaca's form."""
        return json.loads((Path(self.data) / ROWS).read_text(encoding="utf-8"))

    def conversations(self) -> list[list[dict[str, str]]]:
        """The rows as one user turn and one assistant turn each."""
        return [
            [
                {
                    "role": "user",
                    "content": "\n".join(filter(None, (row["instruction"], row["input"]))),
                },
                {"role": "assistant", "content": row["output"]},
            ]
            for row in self.rows()
        ]


class Finished(BaseException):
    """Ends a run after its last step, before anything is saved; no library catches it."""


@dataclass
class Steps:
    """Real tokens, end and loss of each step so far, and how many parameters train."""

    work: Work
    tokens: list[int] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    first: float = 0.0
    trainable: int = 0

    def ended(self) -> None:
        """Note the end of a step.

        The device is waited for where the clock is read: after the first step, before the first
        that is timed, and after the last. In between nobody keeps a stack from working ahead.
        """
        import psutil
        import torch

        number = len(self.ends) + 1
        if torch.cuda.is_available() and number in (1, self.work.warmup, self.work.steps):
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.first = self.first or time.time() - psutil.Process().create_time()

    def told(self, loss: float, step: float | None = None) -> None:
        """Note the loss of a step, the next one where nobody says which.

        Raises :class:`Finished` after the last.
        """
        self.losses.append(round(float(loss), 4))
        if (step or len(self.losses)) >= self.work.steps:
            raise Finished

    def result(self) -> dict[str, Any]:
        """Speed over the steps after the warm-up, peak memory, losses, versions."""
        import torch

        warmup, count = self.work.warmup, len(self.ends)
        if not 0 < warmup < count or len(self.tokens) < count:
            raise RuntimeError(
                f"{count} steps with {len(self.tokens)} counts of tokens; {warmup} are warm-up"
            )
        times = [b - a for a, b in zip(self.ends[warmup - 1 :], self.ends[warmup:], strict=False)]
        seconds = self.ends[-1] - self.ends[warmup - 1]
        found: dict[str, Any] = {
            "tokens_per_second": round(sum(self.tokens[warmup:count]) / seconds, 1),
            "seconds_per_step": round(seconds / (count - warmup), 4),
            "tokens_per_step": round(statistics.mean(self.tokens[:count]), 1),
            "first_step": round(self.first, 1),
            "trainable": self.trainable,
            "timed_steps": [round(seconds, 4) for seconds in times],
            "losses": self.losses,
            "versions": versions(),
        }
        if torch.cuda.is_available():
            found |= {
                "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
                "reserved_gb": round(torch.cuda.max_memory_reserved() / 1e9, 2),
                "device": torch.cuda.get_device_name(),
            }
        return found


def launch(
    python: str | Path, script: Path, job: dict[str, Any], environment: dict[str, str], limit: float
) -> tuple[dict[str, Any], str]:
    """One script in a process of its own, which is ended with its children after ``limit`` s.

    ``job`` are the fields of :class:`Work`; its scratch folder is emptied. Returns the result
    line, or what went wrong under ``error``, and all that was printed.
    """
    scratch = Path(job["scratch"])
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    log = scratch / "log.txt"
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [str(python), str(script), json.dumps(job)],
            cwd=scratch,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(limit)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    seconds = round(time.perf_counter() - started, 1)
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^RESULT (\{.*\})$", text, re.MULTILINE)
    result = json.loads(found[-1]) if found else {"error": f"no result after {seconds} s"}
    return {**result, "wall": seconds}, text


def versions() -> dict[str, str]:
    """The versions of those of :data:`PACKAGES` that this process can import."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_tokenizer(folder: Path, source: Path) -> None:
    """Copy a tokenizer with a padding token of its own, made anew in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(source / name, folder / name)
    settings = folder / "tokenizer_config.json"
    written = json.loads(settings.read_text(encoding="utf-8")) | {"pad_token": PADDING}
    settings.write_text(json.dumps(written, indent=2), encoding="utf-8")


def watch(trainer: type, steps: Steps) -> Any:
    """Count the tokens of a ``transformers.Trainer`` class; returns the callback that times it.

    The padding token of :func:`write_tokenizer` is written nowhere else, so what differs
    from it is real, however a stack marks its padding.
    """
    from transformers import TrainerCallback

    original = trainer.training_step

    def training_step(self: Any, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        tokenizer = getattr(self.processing_class, "tokenizer", self.processing_class)
        steps.tokens.append(int((inputs["input_ids"] != tokenizer.pad_token_id).sum()))
        return original(self, model, inputs, *more, **named)

    trainer.training_step = training_step  # type: ignore[attr-defined]

    class Watch(TrainerCallback):
        def on_train_begin(self, *arguments: Any, model: Any, **named: Any) -> None:
            steps.trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)

        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            steps.ended()

        def on_log(self, *arguments: Any, logs: dict[str, float], **named: Any) -> None:
            if "loss" in logs:
                steps.told(logs["loss"])

    return Watch()


def run(train: Callable[[Work, Steps], None]) -> None:
    """Read the work, train, print the result line; leaves with 1 on a failure."""
    steps = Steps(Work(**json.loads(sys.argv[1])))
    try:
        with contextlib.suppress(Finished):
            train(steps.work, steps)
        line = steps.result()
    except BaseException as error:
        traceback.print_exc()
        line = {"error": f"{type(error).__name__}: {error}"[:400], "versions": versions()}
    print("\nRESULT", json.dumps(line), flush=True)  # behind a progress bar, perhaps
    sys.exit("error" in line)
