"""From the command to the end of the first step: ``ft train`` beside ``llamafactory-cli train``.

Both train the same tiny model on the demo's rows; the clock stops when the file appears to
which each writes the metrics of its first step. What is measured is what a user waits for:
imports, checks, data, model, one step. Python keeps the byte code of what it imports, so the
very first start, which compiles some 3,000 files, is shown apart and the later ones count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import psutil
from bench_demo import checkpoint
from bench_step import write_rows
from gpu.work import ROWS

BUDGET = 0.5
"""Largest part of LLaMA-Factory's time that ft may take."""
LIMIT = 300


def recipe_of_ft(model: Path, data: Path, out: Path) -> dict[str, Any]:
    """One step of LoRA, as ft has it."""
    return {
        "model": {"source": str(model), "family": "smollm2"},
        "data": {"path": str(data / ROWS), "format": "alpaca"},
        "adapter": "lora",
        "trainer": {"name": "sft", "steps": 1, "batch_size": 8, "precision": "float32"},
        "output": str(out),
    }


def recipe_of_llamafactory(model: Path, data: Path, out: Path) -> dict[str, Any]:
    """The same, as LLaMA-Factory has it."""
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": ROWS}}))
    return {
        "model_name_or_path": str(model),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_target": "all",
        "template": "smollm2",
        "dataset_dir": str(data),
        "dataset": "rows",
        "per_device_train_batch_size": 8,
        "max_steps": 1,
        "logging_steps": 1,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "output_dir": str(out),
    }


def first_step(command: list[str], file: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the clock and of the processor until ``file`` has a line.

    The process is then left to end by itself. Byte code is kept in ``folder``, whatever the
    environment says about it.
    """
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment = {
        **inherited,
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "DISABLE_VERSION_CHECK": "1",
        "HF_HOME": str(folder / "home"),
        "FT_CACHE_DIR": str(folder / "cache"),
    }
    log = folder / "log.txt"
    with log.open("w", encoding="utf-8") as output:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        seconds = worked = 0.0
        while process.poll() is None and time.perf_counter() - started < LIMIT:
            if not seconds and file.is_file() and file.stat().st_size:
                seconds = time.perf_counter() - started
                used = psutil.Process(process.pid).cpu_times()
                worked = used.user + used.system
            time.sleep(0.01)
        if process.poll() is None:
            process.kill()
    if not seconds or process.wait():
        sys.exit(f"{log.read_text(encoding='utf-8')[-2000:]}\n{command[0]}: no first step")
    return seconds, worked


def main() -> None:
    """Measure, print, and fail where ft takes more than its part."""
    parser = measure.parser(__doc__)
    parser.add_argument(
        "--llamafactory-python",
        type=Path,
        help="interpreter of the environment with LLaMA-Factory; unset: it is left out",
    )
    parser.add_argument("--repeats", type=int, default=3, help="starts after the very first one")
    chosen = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make = [sys.executable, str(Path(__file__).parent / "gpu" / "make_model.py")]
        subprocess.run([*make, str(folder), "tiny", "--tokenizer", str(checkpoint())], check=True)
        write_rows(folder)
        sides = {"ft": ([sys.executable, "-m", "ft", "train"], recipe_of_ft, "metrics.jsonl")}
        if chosen.llamafactory_python:
            command = [str(chosen.llamafactory_python.with_name("llamafactory-cli")), "train"]
            sides["LLaMA-Factory"] = (command, recipe_of_llamafactory, "trainer_log.jsonl")
        for number in range(1 + chosen.repeats):
            for side, (command, recipe, metrics) in sides.items():
                out = folder / f"{side}-{number}"
                file = folder / f"{side}-{number}.yaml"
                # JSON is YAML
                file.write_text(json.dumps(recipe(folder / "tiny", folder, out)))
                taken = first_step([*command, str(file)], out / metrics, folder)
                times.setdefault(side, []).append(taken)
    cold = {side: taken.pop(0)[0] for side, taken in times.items()}
    best = {side: min(seconds for seconds, _ in taken) for side, taken in times.items()}
    work = {side: min(worked for _, worked in taken) for side, taken in times.items()}
    rows = [
        [
            side,
            f"{best[side]:.2f} s",
            f"{best['ft'] / best[side]:.2f}",
            f"{work[side]:.2f} s",
            f"{work['ft'] / work[side]:.2f}",
            f"{cold[side]:.2f} s",
            f"{cold['ft'] / cold[side]:.2f}",
        ]
        for side in times
    ]
    text = (
        "A Llama of two tiny layers, the demo's rows, LoRA, batch 8, float32, on the CPU. Fastest "
        f"of {chosen.repeats} with byte code kept by a start before them, the very first one. "
        f"Budget: ft takes {BUDGET} of the time at most.\n\n"
    )
    head = ["", "first step", "ft's part", "processor time", "ft's part"]
    text += measure.table([*head, "very first start", "ft's part"], rows)
    measure.report("First step", text, chosen.record)
    measure.leave(
        [
            f"ft takes {best['ft'] / seconds:.2f} of {side}'s time"
            for side, seconds in best.items()
            if side != "ft" and best["ft"] / seconds > BUDGET
        ]
    )


if __name__ == "__main__":
    main()
