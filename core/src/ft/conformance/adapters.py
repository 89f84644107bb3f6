"""What the checks of adapters share: trained, saved and restored runs, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import Run
from ft.conformance.bench import (
    difference,
    gradients,
    logits,
    some,
    tiny_run,
    train,
)
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    from torch import Tensor, nn

START = 1e-5
"""How far logits may lie from the base's at the start: a computed identity is not exact."""
SHORT = {"steps": 3}
"""Enough training where anything that moved will do."""


def train_and_fall(run: Run) -> None:
    """Train, and raise unless the loss on the run's rows has fallen by the end."""
    before, _ = gradients(run, [run.data])
    losses = train(run)
    after, _ = gradients(run, [run.data])
    assert after < 0.995 * before, (
        f"the loss over all rows went from {before:.4g} to {after:.4g} in {len(losses)} steps"
    )


def quantized_run(subject: Subject, folder: str = "run", **settings: Any) -> Run:
    """A run of the adapter on a base that the reference quantizer has quantized."""
    from ft.conformance.reference import REFERENCES

    quantizer = REFERENCES["quantizer"].bind("reference")
    return tiny_run(subject, folder=folder, quantizer=quantizer, **settings)


def with_family(subject: Subject, family: Any) -> Subject:
    """The subject in a folder of its own, on a base of another family."""
    companions = {**subject.companions, "model": family}
    return replace(subject, folder=subject.folder / "other", companions=companions)


def restored_from(run: Run, saved: Path) -> Any:
    """The model that the adapter makes of what it saved."""
    return run.hook.ft_restore_model(run=run, folder=saved)


def assert_merges(subject: Subject, run: Run, saved: Path) -> None:
    """Raise unless the merged model computes what the unmerged one does, within the bound."""
    model = restored_from(run, saved)
    expected = logits(model)
    merged = run.hook.ft_merge_model(run=run, model=model)  # the bound here is the adapter's own
    moved, allowed = difference(logits(merged), expected), run.part("adapter").merge_tolerance
    assert moved <= allowed, (
        f"merging moves the logits by {moved:.2g}, and merge_tolerance is {allowed:g}"
    )
    assert_whole(subject, run, merged)


def assert_whole(subject: Subject, run: Run, model: Any) -> None:
    """A merged model is saved as the base is: its weights have the names of the base's."""
    if "changed-architecture" in run.part("adapter").capabilities().provides:
        return
    odd = model.state_dict().keys() ^ run.load_base().state_dict().keys()
    assert not odd, f"the merged model has other weights than the base: {some(odd)}"


def assert_same(model: Any, expected: Tensor, when: str) -> None:
    """Raise unless a model has just these logits."""
    found = logits(model)
    assert found.equal(expected), (
        f"{when}: the logits differ by {difference(found, expected):.2g} (relative root mean "
        "square)"
    )


def training_flags(run: Run) -> dict[str, bool]:
    """Whether each parameter trains, by name."""
    return {name: p.requires_grad for name, p in run.model.named_parameters()}


def assert_flags(run: Run, expected: dict[str, bool], when: str) -> None:
    """What trains and what is frozen is as expected."""
    found = training_flags(run)
    odd = [name for name, trains in expected.items() if found.get(name) != trains]
    assert not odd, f"{when} other parameters train or are frozen: {some(odd)}"


def base_in(run: Run, base: nn.Module) -> dict[str, Any]:
    """Name in the base → digest of each tensor that is in the run's model under any name."""
    there = Counter(tensors_by_name(run.model).values())
    kept = Counter[Any]()
    found = {}
    for name, key in tensors_by_name(base).items():
        kept[key] += 1
        if kept[key] <= there[key]:
            found[name] = key
    return found


def gone_from(run: Run, there: dict[str, Any]) -> list[str]:
    """The names of tensors that the run's model does not have any more, or not as often."""
    now = tensors_by_name(run.model)
    lost = Counter(there.values()) - Counter(now.values())
    names = [name for name, key in there.items() if key in lost]
    # of several that are equal, those that are not where they were
    return [name for name in names if now.get(name) != there[name]] or names


def tensors_by_name(model: nn.Module) -> dict[str, Any]:
    """Name → digest of each parameter and buffer."""
    held: Iterable[tuple[str, Tensor]] = (*model.named_parameters(), *model.named_buffers())
    return {name: digest(tensor) for name, tensor in held}


def digest(tensor: Tensor) -> tuple[Any, ...]:
    """Type, shape and bits of a tensor, to be compared or counted."""
    import hashlib

    import torch

    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return str(tensor.dtype), tuple(tensor.shape), hashlib.sha1(raw.tobytes()).hexdigest()


def said_by(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip().splitlines() or [""])[0][:200]
