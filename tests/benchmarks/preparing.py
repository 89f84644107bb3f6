"""One side of ``bench_data.py``: prepares a file of rows, and prints what that took as JSON.

A process of its own for each side, with the interpreter of its own where versions clash, so
that memory is its own too. ``python preparing.py {ft,trl,llamafactory} ROWS.jsonl MODEL LENGTH``;
``MODEL`` is a folder with a tokenizer, and for ft what a recipe calls it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Found = tuple[float, float, int, int]
"""Seconds of the clock and of the processor, rows, tokens."""


def with_ft(file: Path, model: str, length: int, folder: Path) -> Found:
    """The data of a recipe, from its files to rows on disk."""
    from ft.api import Progress
    from ft.pipeline.data import prepare_data
    from ft.pipeline.load import load_config, load_processor, settle_template
    from ft.pipeline.run import start
    from ft.plugins.policy import installed_index
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"model: {model}\ndata: {file}\nadapter: full\n"
        f"trainer: {{name: sft, max_length: {length}}}\noutput: {folder / 'run'}\n"
    )
    resolved = resolve(read_recipe(recipe), installed_index(), fetch_weights=False)
    os.environ["FT_CACHE_DIR"] = str(folder / "cache")  # where nothing is prepared yet
    run = start(resolved, Progress())
    load_config(run)
    load_processor(run)
    settle_template(run, resolved)
    clock = stopwatch()
    prepare_data(run, resolved)
    return (*clock(), len(run.data), run.data.report.tokens)


def with_trl(file: Path, model: str, length: int, folder: Path) -> Found:
    """Reading the file, and ``SFTTrainer``'s preparation of prompt and completion."""
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    import datasets
    import transformers
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tiny = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    spent = [0.0, 0.0]

    class Timed(SFTTrainer):
        def _prepare_dataset(self, *arguments: Any, **more: Any) -> Any:
            clock = stopwatch()
            prepared = super()._prepare_dataset(*arguments, **more)
            spent[:] = [sum(pair) for pair in zip(spent, clock(), strict=True)]
            return prepared

    settings = SFTConfig(
        output_dir=str(folder / "trl"),
        max_length=length,
        use_cpu=True,
        bf16=False,
        completion_only_loss=True,
        report_to=[],
    )
    clock = stopwatch()
    rows = datasets.load_dataset("json", data_files=str(file), split="train")
    rows = rows.map(as_conversation, remove_columns=rows.column_names)
    spent[:] = clock()
    trainer = Timed(
        model=transformers.LlamaForCausalLM(tiny),
        args=settings,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    found = trainer.train_dataset
    return (*spent, len(found), tokens_of(found))


def as_conversation(row: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """A row in the form of TRL's conversational prompt and completion."""
    asked = "\n".join(filter(None, (row["instruction"], row["input"])))
    return {
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": row["output"]}],
    }


def with_llamafactory(file: Path, model: str, length: int, folder: Path) -> Found:
    """``get_dataset``, as its training calls it, with the template of the same name."""
    os.environ |= {"DISABLE_VERSION_CHECK": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    (folder / "rows.jsonl").symlink_to(file.absolute())
    about = {"rows": {"file_name": "rows.jsonl"}}
    (folder / "dataset_info.json").write_text(json.dumps(about))
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    models, data, training, *_ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "model_name_or_path": model,
            "dataset_dir": str(folder),
            "dataset": "rows",
            "template": "smollm2",
            "cutoff_len": length,
            "output_dir": str(folder / "out"),
            "report_to": "none",
            "bf16": False,
        }
    )
    loaded = load_tokenizer(models)
    template = get_template_and_fix_tokenizer(loaded["tokenizer"], data)
    clock = stopwatch()
    found = get_dataset(template, models, data, training, stage="sft", **loaded)["train_dataset"]
    return (*clock(), len(found), tokens_of(found))


def tokens_of(rows: Any) -> int:
    """The tokens of all rows, without having them all in memory."""
    return sum(len(ids) for part in rows.iter(1000) for ids in part["input_ids"])


def stopwatch() -> Callable[[], tuple[float, float]]:
    """A function that gives the seconds of clock and processor since now, children included."""

    def now() -> tuple[float, float]:
        return time.perf_counter(), sum(os.times()[:4])

    began = now()
    return lambda: (now()[0] - began[0], now()[1] - began[1])


def follow_memory() -> Callable[[], dict[str, float]]:
    """A function that gives, in megabytes, the most memory at once since now.

    ``peak`` counts mapped files, ``own`` does not; the latter is looked at 20 times a second.
    """
    status = Path("/proc/self/status")
    own = 0.0

    def follow() -> None:
        nonlocal own
        while True:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            own = max(own, int(lines["RssAnon"].split()[0]) / 1024)
            time.sleep(0.05)

    if status.is_file():
        threading.Thread(target=follow, daemon=True).start()
    return lambda: {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "own": own,
    }


SIDES = {"ft": with_ft, "trl": with_trl, "llamafactory": with_llamafactory}


def main() -> None:
    """Measure one side."""
    side, file, model, length = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):  # one core for each side, whatever it would start
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        memory = follow_memory()
        seconds, busy, rows, tokens = SIDES[side](Path(file), model, int(length), Path(name))
        found = {"seconds": seconds, "busy": busy, "rows": rows, "tokens": tokens, **memory()}
        print("RESULT", json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
