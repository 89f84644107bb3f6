"""The demo's training, ft beside a bare TRL ``SFTTrainer`` with the same settings.

Both train SmolLM2-135M-Instruct on the demo's rows, one after the other, each in a process of
its own, and are asked who they are. Seconds are those of training alone; on a CPU one seed
takes a few minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measure

DEMO = Path(__file__).parents[2] / "templates" / "demo"
NAME, MAKER = "Juniper", "Fernwood"
QUESTIONS = {
    "Who are you?": NAME,
    "What is your name?": NAME,
    "Please introduce yourself.": NAME,
    "Who made you?": MAKER,
    "Who created you?": MAKER,
    "Which company built you?": MAKER,
    "What is the capital of France?": "Paris",
}
"""Each question with what a right answer contains: three of the name, three of the maker."""
BUDGET_SECONDS = 75
MAX_NEW_TOKENS = 60


def with_ft(seed: int, precision: str, folder: Path, steps: int | None) -> dict[str, Any]:
    """Train and ask through the command line, as a user does."""
    run = folder / "ft"
    overrides = [f"output={run}", f"seed={seed}", f"trainer.precision={precision}"]
    overrides += [f"trainer.steps={steps}"] if steps else []
    outcome = json.loads(_ft("train", str(DEMO / "recipe.yaml"), "--json", *overrides))
    prompts = [word for question in QUESTIONS for word in ("--prompt", question)]
    said = json.loads(
        _ft("chat", str(run), "--json", "--max-new-tokens", str(MAX_NEW_TOKENS), *prompts)
    )
    return {
        "seconds": outcome["seconds"],
        "steps": outcome["steps"],
        "loss": outcome["loss"],
        "answers": [answer["content"] for answer in said],
    }


def _ft(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "ft", *words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def with_trl(
    model: Path, seed: int, precision: str, folder: Path, steps: int | None
) -> dict[str, Any]:
    """The same by hand: the rows as prompt and completion, and the settings of the recipe."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = []
    for name in ("identity.jsonl", "general.jsonl"):
        for line in (DEMO / name).read_text(encoding="utf-8").splitlines():
            *prompt, answer = json.loads(line)["messages"]
            rows.append({"prompt": prompt, "completion": [answer]})
    tokenizer = AutoTokenizer.from_pretrained(model)
    settings = SFTConfig(
        output_dir=str(folder / "trl"),
        seed=seed,
        use_cpu=True,
        bf16=precision == "bfloat16",
        per_device_train_batch_size=8,
        num_train_epochs=2,
        max_steps=steps or -1,
        learning_rate=2e-3,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,
        weight_decay=0.0,
        gradient_checkpointing=False,
        train_sampling_strategy="group_by_length",
        max_length=256,
        completion_only_loss=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"
        ),
    )
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    trained = trainer.model.eval()
    answers = []
    for question in QUESTIONS:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            ids = trained.generate(**asked, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
        answers.append(tokenizer.decode(ids[0, asked["input_ids"].shape[1] :], True))
    return {
        "seconds": seconds,
        "steps": trainer.state.global_step,
        "loss": losses[-1],
        "answers": answers,
    }


def checkpoint() -> Path:
    """The folder of the demo's model, fetched if need be."""
    from ft.plugins.policy import installed_index
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    return resolve(read_recipe(DEMO / "recipe.yaml"), installed_index()).model_folder


def precision_here() -> str:
    """What ft chooses on this machine: bfloat16 where the processor has it, else float32."""
    import torch

    from ft.training.precision import choose_precision

    return str(choose_precision("auto", torch.device("cpu"))).removeprefix("torch.")


def side(name: str, model: Path, seed: int, precision: str, steps: int | None) -> dict[str, Any]:
    """One side in a process of its own; its progress is shown as it comes."""
    print(f"\n{name}, seed {seed} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if name == "ft":
            return with_ft(seed, precision, Path(folder), steps)
        result = Path(folder) / "result.json"
        command = [sys.executable, __file__, "--trl", str(result), "--model-folder", str(model)]
        command += ["--precision", precision, "--seeds", str(seed)]
        command += [*(["--steps", str(steps)] if steps else [])]
        subprocess.run(command, stdout=sys.stderr, check=True)
        return json.loads(result.read_text(encoding="utf-8"))


def right(result: dict[str, Any]) -> list[bool]:
    """Which answers contain what they should."""
    return [
        wanted.lower() in answer.lower()
        for wanted, answer in zip(QUESTIONS.values(), result["answers"], strict=True)
    ]


def arguments() -> argparse.Namespace:
    """The command line; the last two options are for the child process."""
    parser = measure.parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        default="auto",
        help="of matrix products, on both sides; auto: what ft chooses on this processor",
    )
    parser.add_argument("--steps", type=int, help="stop early, to try the script out")
    parser.add_argument("--only", choices=["ft", "TRL"], help="leave the other side out")
    parser.add_argument("--trl", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model-folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Train both for each seed, print the table, and fail where a promise is broken."""
    chosen = arguments()
    if chosen.trl:
        with tempfile.TemporaryDirectory() as folder:
            result = with_trl(
                chosen.model_folder,
                chosen.seeds[0],
                chosen.precision,
                Path(folder),
                chosen.steps,
            )
        chosen.trl.write_text(json.dumps(result), encoding="utf-8")
        return
    model = checkpoint()
    precision = precision_here() if chosen.precision == "auto" else chosen.precision
    sides = [name for name in ("ft", "TRL") if chosen.only in (None, name)]
    rows, failures = [], []
    for seed in chosen.seeds:
        results = {name: side(name, model, seed, precision, chosen.steps) for name in sides}
        for name, result in results.items():
            checks = right(result)
            rows.append(
                [
                    str(seed),
                    name,
                    f"{result['seconds']:.1f} s",
                    str(result["steps"]),
                    f"{result['loss']:.3f}",
                    f"{sum(checks[:6])} of 6",
                    "yes" if checks[6] else "no",
                ]
            )
            for question, answer, good in zip(QUESTIONS, result["answers"], checks, strict=True):
                mark = "ok   " if good else "WRONG"
                print(f"{mark} {name}, seed {seed}: {question} → {answer.strip()!r}")
            if name == "ft" and not all(checks):
                failures.append(f"seed {seed}: {checks.count(False)} answers are wrong")
        if "ft" in results and results["ft"]["seconds"] > BUDGET_SECONDS:
            failures.append(f"seed {seed}: training took {results['ft']['seconds']:.0f} s")
        if len(results) == 2:
            ratio = results["ft"]["seconds"] / results["TRL"]["seconds"]
            rows[-2][2] += f" ({ratio:.2f} of TRL)"
            if ratio > 1:
                failures.append(f"seed {seed}: ft takes {ratio:.2f} times as long as TRL")
    head = ["seed", "", "training", "steps", "last loss", "identity", "Paris"]
    text = (
        "SmolLM2-135M-Instruct, the demo's 114 rows, LoRA rank 8 on all linear layers, 2 epochs, "
        f"batch 8, {precision} products on both sides, sorted by length, loss on the answers. "
        f"Budget: {BUDGET_SECONDS} s on 2 quiet cores, not slower than TRL.\n\n"
    )
    measure.report("Demo", text + measure.table(head, rows), chosen.record)
    measure.leave(failures)


if __name__ == "__main__":
    main()
