"""What the reference says of all pairs, asked once ahead of training and kept in the run folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Batch, Encoded, Run, TrainerOptions
from ft.api.preference import SIDES, likelihood

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "reference.safetensors"
COLUMN = "reference_{side}"


@dataclass(slots=True)
class Said:
    """What the reference said of each data set, to be kept in the run folder."""

    file: Path
    key: str
    log_probs: dict[str, Tensor]

    def write(self) -> None:
        from safetensors.torch import save_file

        partial = self.file.with_suffix(".partial")
        save_file(self.log_probs, partial, metadata={"key": self.key})
        partial.rename(self.file)


class WithReference(Sequence[Any]):
    """Rows with what the reference says of both sides, which core collates as numbers."""

    def __init__(self, rows: Any, log_probs: Tensor):
        self.rows = rows
        self.lengths = rows.lengths
        self.report = getattr(rows, "report", None)
        self._log_probs = log_probs.tolist()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        said = zip(SIDES, self._log_probs[index], strict=True)
        return {**self.rows[index], **{COLUMN.format(side=side): value for side, value in said}}


def likelihoods_in(batch: Batch) -> dict[str, Tensor]:
    """The reference's log-probabilities of both sides in a micro batch, each of shape (pairs,)."""
    return {side: batch[COLUMN.format(side=side)] for side in SIDES}


def add_log_probs(run: Run, model: nn.Module) -> Said | None:
    """Put what ``model``, which has not been trained yet, says of each row beside the row.

    It is read from the run folder where the same model said it of the same rows before, and
    asked for otherwise, each process its share. Returns what is to be written there, if any.
    """
    sets = {"data": run.data, **{f"eval/{name}": rows for name, rows in run.eval_data.items()}}
    key = _key(run, model, sets) if run.process.is_main else ""
    kept = _read(run.folder / FILE, key) if run.process.is_main else None
    known = bool(run.sum(float(kept is not None)))
    said = {}
    for name, rows in sets.items():
        own = kept[name] if kept is not None else _zeros(len(rows))
        if not known:
            own = _ask(run, model, rows)
        said[name] = run.sum(own.to(run.device)).cpu()
    run.data = WithReference(run.data, said["data"])
    for name, rows in run.eval_data.items():
        run.eval_data[name] = WithReference(rows, said[f"eval/{name}"])
    return None if known or not run.process.is_main else Said(run.folder / FILE, key, said)


def _zeros(rows: int) -> Tensor:
    import torch

    return torch.zeros(rows, len(SIDES))


def _ask(run: Run, model: nn.Module, rows: Any) -> Tensor:
    """What the model says of this process's share of the rows, 0 for all others."""
    import torch

    options: TrainerOptions = run.part("trainer").options
    said = _zeros(len(rows))
    size = options.micro_batch_size or -(-options.batch_size // run.process.world_size)
    # rows of like length together: padding costs as much as tokens do
    order = sorted(range(len(rows)), key=lambda number: int(rows.lengths[number]))
    own = order[run.process.rank :: run.process.world_size]
    told = run.progress.track("asking the reference", len(own), "rows")
    training = model.training
    model.eval()
    for start in range(0, len(own), size):
        numbers = own[start : start + size]
        batch = run.to_device(run.collate([rows[number] for number in numbers]))
        with torch.no_grad(), run.autocast():
            for column, side in enumerate(SIDES):
                found = likelihood(run, model, batch[side])
                said[numbers, column] = found.log_probs.float().cpu()
        told(len(numbers))
    model.train(training)
    return said


# -- kept for later ------------------------------------------------------------------------


def _key(run: Run, model: nn.Module, sets: Mapping[str, Any]) -> str:
    """A digest of all that decides what is said: the weights, the tokens, the arithmetic."""
    import torch
    import transformers

    digest = hashlib.sha256(
        f"{torch.__version__} {transformers.__version__} {run.device.type} "
        f"{run.part('trainer').options.precision} {type(model).__name__} {run.config!r}".encode()
    )
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    for name, rows in sets.items():
        digest.update(f"{name} {len(rows)}".encode())
        for row in rows:
            for side in SIDES:
                for part in _parts(row[side]):
                    digest.update(part)
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    import torch

    return tensor.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy()


def _parts(row: Encoded) -> Iterator[Any]:
    import numpy as np

    yield np.asarray(row.input_ids, np.int64)
    yield np.asarray(row.weights, np.float32)
    for name, values in row.per_token.items():
        yield name.encode()
        yield np.asarray(values, np.int64)
    for name, tensor in row.media.items():
        yield name.encode()
        yield _bytes(tensor)


def _read(file: Path, key: str) -> dict[str, Tensor] | None:
    from safetensors import safe_open

    if not file.is_file():
        return None
    with safe_open(file, "pt") as opened:
        if (opened.metadata() or {}).get("key") != key:
            return None
        return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
