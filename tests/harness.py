"""A run on a tiny random model, put together from plugin objects without a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ft.api import Encoded, ModelFamily, Plugin, Progress, Run
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import adapt, load_config, load_processor
from ft.pipeline.run import start_process
from ft.pipeline.run import train as train_steps
from ft.pipeline.save import save_modules
from ft.plugins.selection import Selection


class Rows(list):
    """Encoded rows, as data preparation leaves them."""

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self]


class Told(Progress):
    """Keeps what a run says and warns of."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def warn(self, message: str) -> None:
        self.lines.append(message)


def random_rows(count: int = 8, prompt: int = 4, seed: int = 1) -> Rows:
    """Rows of 12 and more random ids; the first ``prompt`` of each are not trained on."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    rows = Rows()
    for number in range(count):
        ids = torch.randint(3, 500, (12 + number,), generator=generator).tolist()
        rows.append(Encoded(ids, [0.0] * prompt + [1.0] * (len(ids) - prompt)))
    return rows


def write_random_model(folder: Path, family: ModelFamily, model_type: str) -> Path:
    """A checkpoint folder with a tiny random model of the family and no tokenizer."""
    import torch
    import transformers

    config = family.tiny_config(model_type)
    # with the usual 0.02 the logits of so small a frozen model cannot tell tokens apart
    config.initializer_range = 0.2
    torch.manual_seed(0)
    auto = getattr(transformers, family.auto_class_for(model_type))
    auto.from_config(config).save_pretrained(folder)
    return folder


class NoTokenizer:
    """Stands where a run of ready-made ids has no tokenizer; collation reads its pad id."""

    pad_token_id = 0
    eos_token_id = 0


def tiny_run(
    folder: Path,
    plugins: Sequence[Plugin],
    *,
    family: ModelFamily | None = None,
    model_type: str = "llama",
    rows: Any = None,
) -> Run:
    """A run that is ready to train: model loaded and adapted, data in place.

    ``plugins`` are bound; the model family is added. ``rows`` may be a function of the run.
    The checkpoint in ``folder / "model"`` is used where there is one, with its tokenizer if it
    has one, and written otherwise. Train it with :func:`train`.
    """
    family = family or ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))
    checkpoint = folder / "model"
    if not checkpoint.exists():
        write_random_model(checkpoint, family, model_type)
    selection = Selection([family.bind(model_type), *plugins], DEFAULTS)
    run = Run(selection, folder=folder / "run", source="tiny", progress=Told())
    run.folder.mkdir(exist_ok=True)
    run.model_folder = checkpoint
    run.tokenizer = NoTokenizer()
    start_process(run, "cpu")
    load_config(run)
    if (checkpoint / "tokenizer.json").exists():
        load_processor(run)
    run.data = rows(run) if callable(rows) else rows if rows is not None else random_rows()
    adapt(run)
    return run


def train(run: Run, resume: Path | None = None) -> list[float]:
    """Train to the end; returns the loss of each step."""
    train_steps(run, resume)
    return [line["loss"] for line in run.state.history if "loss" in line]


def save(run: Run) -> Path:
    """Save the result as the pipeline does, without a tokenizer; returns its folder."""
    folder = run.folder / "result"
    folder.mkdir(exist_ok=True)
    run.hook.ft_finish_model(run=run, model=run.model)
    run.hook.ft_save_model(run=run, model=run.model, folder=folder)
    save_modules(run, folder)
    return folder


def weights(run: Run) -> dict[str, Any]:
    """Copies of all parameters of a run, those beside the model included."""
    return {name: p.detach().clone() for name, p in run._parameters()}


def changed(run: Run, before: dict[str, Any]) -> set[str]:
    """The names of the parameters that differ from ``before``."""
    return {name for name, p in run._parameters() if not p.equal(before[name])}


def logits(model: Any) -> Any:
    """What a model makes of a fixed sequence, in evaluation mode."""
    import torch

    training = model.training
    model.eval()
    with torch.no_grad():
        found = model(input_ids=torch.arange(3, 19)[None], use_cache=False).logits
    model.train(training)
    return found


def assert_resumes(make_run: Callable[[], Run], step: int) -> None:
    """A run that goes on from its checkpoint at ``step`` ends as if nothing had happened.

    The trainer saves at ``step`` and keeps that checkpoint.
    """
    whole = make_run()
    train(whole)
    again = make_run()
    losses = train(again, whole.folder / "checkpoints" / f"step-{step:06d}")
    assert again.state.step == whole.state.step > step
    assert losses == [line["loss"] for line in whole.state.history if "loss" in line]
    assert changed(again, weights(whole)) == set()
