"""What every model family must hold, as checks that its tests call."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers

from ft.api import ModelFamily, Progress, Run
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import load_config, load_processor
from ft.plugins.selection import Selection


def load(family: ModelFamily, model_type: str, folder: Path) -> Any:
    """The model of a checkpoint folder, in float32."""
    auto = getattr(transformers, family.auto_class_for(model_type))
    return auto.from_pretrained(folder, dtype=torch.float32)


def run_of(family: ModelFamily, folder: Path, *plugins: Any) -> Run:
    """A run with the checkpoint's configuration and processor loaded."""
    bound = [family.bind("family"), *(plugin.bind("template") for plugin in plugins)]
    run = Run(Selection(bound, DEFAULTS), folder=folder, progress=Progress())
    run.model_folder = folder
    load_config(run)
    load_processor(run)
    return run


def assert_trains(model: Any, **batch: Any) -> None:
    """One optimizer step: a finite loss, and a lower one after it."""
    model.train()
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = model(**batch, labels=batch["input_ids"]).loss
    before.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    after = model(**batch, labels=batch["input_ids"]).loss
    assert torch.isfinite(before)
    assert after < before


def assert_groups(family: ModelFamily, model: Any) -> None:
    """Every group that the family declares has parameters."""
    names = [name for name, _ in model.named_parameters()]
    empty = [
        group
        for group, prefix in family.groups.items()
        if not any(name.startswith(f"{prefix}.") for name in names)
    ]
    assert not empty


def random_ids(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 250, (length,), generator=generator) for length in lengths]


@torch.no_grad()
def assert_packs(model: Any, lengths: tuple[int, ...] = (7, 40, 12)) -> None:
    """Documents in one sequence get the logits that each gets alone.

    The sequence has no attention mask, positions that begin again with each document, and no
    key-value cache: with one, transformers does not see where a document ends.
    """
    model.eval()
    documents = random_ids(*lengths)
    packed = model(
        input_ids=torch.cat(documents)[None],
        position_ids=torch.cat([torch.arange(len(d)) for d in documents])[None],
        use_cache=False,
    ).logits[0]
    alone = torch.cat([model(input_ids=d[None]).logits[0] for d in documents])
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)


def text_run(tokenizer: Any, **more: Any) -> Any:
    """What tokenization reads of a run."""
    return SimpleNamespace(tokenizer=tokenizer, processor=tokenizer, **more)
