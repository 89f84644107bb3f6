"""Seconds of a training step of the demo's model: ft beside TRL and LLaMA-Factory.

All train the same rows in the same batches, in their order, with the same adapter and float32
products, without checkpointing, each in processes of its own; rounds alternate between them.
Other work on the machine makes a step many times slower, so of each step the fastest round
counts, and what is compared is the median of these.
LLaMA-Factory pins other releases than ft needs, so it has an environment of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import measure
from bench_demo import DEMO, checkpoint
from gpu.work import ROWS, TOKENIZER_FILES, launch, write_tokenizer

SCRIPTS = Path(__file__).parent / "gpu"
SIDES: dict[str, tuple[str, dict[str, Any]]] = {
    "ft": ("ft_run.py", {"trainer": {"precision": "float32", "shuffle": False, "log_every": 1}}),
    "TRL": (
        "peer_trl.py",
        {
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "train_sampling_strategy": "sequential",
            "model": {"dtype": "float32"},
        },
    ),
    "LLaMA-Factory": (
        "peer_llamafactory.py",
        {
            "use_cpu": True,
            "bf16": False,
            "disable_gradient_checkpointing": True,
            "disable_shuffling": True,
        },
    ),
}
"""The script of each side and its settings: all that it takes to do the same work."""
LIMIT = 600


def write_rows(folder: Path) -> None:
    """The demo's rows in Alpaca's form, for all sides to read."""
    rows = []
    for name in ("general.jsonl", "identity.jsonl"):
        for line in (DEMO / name).read_text(encoding="utf-8").splitlines():
            asked, answered = json.loads(line)["messages"]
            row = {"instruction": asked["content"], "input": "", "output": answered["content"]}
            rows.append(row)
    (folder / ROWS).write_text(json.dumps(rows), encoding="utf-8")


def with_own_padding(model: Path, folder: Path) -> Path:
    """The checkpoint with a tokenizer whose padding can be told from the end of a turn."""
    folder.mkdir()
    for file in model.iterdir():
        if file.name not in TOKENIZER_FILES:
            (folder / file.name).symlink_to(file)
    write_tokenizer(folder, model)
    return folder


def main() -> None:
    """Measure, print, and fail where ft is not the fastest."""
    parser = measure.parser(__doc__)
    parser.add_argument(
        "--llamafactory-python",
        type=Path,
        help="interpreter of the environment with LLaMA-Factory; unset: it is left out",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--steps", type=int, default=10, help="of each round; the first 2 are not timed"
    )
    chosen = parser.parse_args()
    pythons = {"ft": sys.executable, "TRL": sys.executable}
    if chosen.llamafactory_python:
        pythons["LLaMA-Factory"] = chosen.llamafactory_python
    rounds: dict[str, list[list[float]]] = {side: [] for side in pythons}
    last: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder))
        model = with_own_padding(checkpoint(), Path(folder) / "model")
        for number in range(chosen.rounds):
            for side, python in pythons.items():
                script, settings = SIDES[side]
                job = {
                    "model": str(model),
                    "data": folder,
                    "scratch": str(Path(folder) / "run"),
                    "steps": chosen.steps,
                    "warmup": 2,
                    "batch_size": 8,
                    "max_length": 256,
                    "settings": settings,
                }
                environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
                result, text = launch(python, SCRIPTS / script, job, environment, LIMIT)
                if "error" in result:
                    sys.exit(f"{text[-2000:]}\n{side}: {result['error']}")
                seconds = result["seconds_per_step"]
                print(f"round {number + 1}, {side}: {seconds:.2f} s", file=sys.stderr, flush=True)
                rounds[side].append(result["timed_steps"])
                last[side] = result
    times = {
        side: [min(again) for again in zip(*taken, strict=True)] for side, taken in rounds.items()
    }
    medians = {side: statistics.median(taken) for side, taken in times.items()}
    rows = [
        [
            side,
            f"{seconds:.2f} s",
            f"{min(times[side]):.2f} s",
            f"{seconds / medians['ft']:.2f}",
            f"{last[side]['tokens_per_step']:.0f}",
            f"{last[side]['losses'][0]:.3f} → {last[side]['losses'][-1]:.3f}",
            str(last[side]["versions"]["transformers"]),
        ]
        for side, seconds in medians.items()
    ]
    head = ["", "median", "fastest", "times ft", "tokens a step", "loss", "transformers"]
    text = (
        "SmolLM2-135M-Instruct, the demo's rows in their order, LoRA rank 16 on all linear "
        f"layers, batch 8, float32, {len(times['ft'])} steps, each the fastest of {chosen.rounds} "
        "rounds.\n\n"
    )
    measure.report("Training step", text + measure.table(head, rows), chosen.record)
    measure.leave(
        [
            f"{side} takes {seconds / medians['ft']:.2f} of ft's time for a step"
            for side, seconds in medians.items()
            if seconds < medians["ft"]
        ]
    )


if __name__ == "__main__":
    main()
