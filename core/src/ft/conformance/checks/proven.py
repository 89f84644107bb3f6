"""Level 3: a recorded run on an accelerator."""

from __future__ import annotations

import os
from dataclasses import replace

from ft.conformance.bench import random_rows, reference_family, tiny_run, train
from ft.conformance.check import NotRun, check
from ft.conformance.subject import Subject

DEVICE = "FT_KIT_DEVICE"
"""The environment variable that names the device to take in place of the machine's own."""

RATES = (1e-3, 3e-2)
"""Learning rates: one for a model of real width, and one for a method that trains very little."""


LARGER = {
    "vocab_size": 8192,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 8,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "max_position_embeddings": 1024,
}
"""Sizes that keep a device busy: 60 million parameters."""


def on_accelerator(subject: Subject) -> None:
    """A run on an accelerator agrees with one on the CPU, and is measured.

    Why: what is right on a CPU in float32 may be slow, wrong or impossible where people train:
    a tensor made on the wrong device, a kernel without that type, an overflow in bfloat16.

    Passes: four steps of a tiny model on the accelerator in float32 have the losses of the same
    steps on the CPU within a tenth, and eight steps in bfloat16 end below their first loss. The
    report keeps the last loss, the peak memory in MiB and the tokens a second of the latter,
    which a family takes with its own tiny model and everything else with one of 60 million
    parameters.

    Fails: a machine without an accelerator does not fail the check, and leaves it unproved:
    take ``--json FILE`` from a machine that has one, and give it here with ``--proof FILE``.

    Example: ``on cuda:0 step 3 has the loss 5.1, and 6.2 on the CPU``.
    """
    device = accelerator()
    expected, _ = _losses(subject, "cpu", "float32", steps=4)
    found, _ = _losses(subject, device, "float32", steps=4)
    for step, (here, there) in enumerate(zip(found, expected, strict=True), 1):
        # random generators differ between devices, and so does what a dropout leaves out
        assert abs(here - there) <= max(0.1 * abs(there), 0.02), (
            f"on {device} step {step} has the loss {here:.3g}, and {there:.3g} on the CPU"
        )
    length = 12
    if subject.kind != "model" and not device.startswith("cpu"):
        subject = replace(
            subject,
            folder=subject.folder / "larger",
            companions={**subject.companions, "model": reference_family(**LARGER)},
        )
        length = 512
    for rate in RATES:
        losses, line = _losses(subject, device, "bfloat16", steps=8, length=length, rate=rate)
        if losses[-1] < losses[0]:
            break
    assert losses[-1] < losses[0], (
        f"on {device} in bfloat16 the loss went from {losses[0]:.3g} to {losses[-1]:.3g}"
    )
    subject.measure("loss", losses[-1])
    subject.measure("MiB", line.get("memory", 0) / 2**20)
    subject.measure("tokens/s", line.get("tokens_per_second", 0))


def accelerator() -> str:
    """The device of this machine. Raises :class:`NotRun` where there is none."""
    import torch

    wanted = os.environ.get(DEVICE)
    found = torch.accelerator.current_accelerator(check_available=True)
    if wanted is None and found is None:
        raise NotRun(
            "this machine has no accelerator: run it with --json FILE on one that does, and give "
            "that file here with --proof FILE"
        )
    return wanted or f"{found}:0"


def _losses(
    subject: Subject,
    device: str,
    precision: str,
    *,
    steps: int,
    length: int = 12,
    rate: float = RATES[0],
) -> tuple[list[float], dict[str, float]]:
    """The loss of each step, and the metrics of the last."""
    optimizer = subject.partner("optimizer")
    run = tiny_run(
        subject,
        folder=f"{device.replace(':', '-')}-{precision}-{rate}",
        rows=None if subject.kind == "trainer" else random_rows(8, length=length),
        trainer={"precision": precision, "max_grad_norm": 1.0, "steps": steps},
        device=device,
        adapter=subject.kind == "quantizer",
        optimizer=subject.bind(learning_rate=rate)
        if subject.kind == "optimizer"
        else optimizer.bind("reference", {"learning_rate": rate}),
    )
    losses = train(run)
    return losses, run.state.history[-1]


for _kind in ("model", "adapter", "quantizer", "optimizer", "trainer", "kernel"):
    check(_kind, level=3)(on_accelerator)
