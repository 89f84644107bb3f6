"""``ft plan``: memory and time of a step, and the fastest settings that fit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ft.cli.check import QuietProgress
from ft.cli.output import paragraph, print_json, table
from ft.errors import InputError
from ft.plugins.policy import installed_index
from ft.recipe.alternatives import refuse_misfits
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve

if TYPE_CHECKING:
    from ft.api import Device
    from ft.plan.choose import Plan

UNITS = {"": 1e9, "B": 1, "MB": 1e6, "GB": 1e9, "TB": 1e12, "MIB": 2**20, "GIB": 2**30}
SHOWN = 6
"""Plans that are listed."""


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--memory", help="Memory to stay within, such as 24GB; unset: 95 % of the device's.")
@click.option("--device", help="A device to plan for, such as h200; unset: this machine's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(
    recipe: Path,
    overrides: Sequence[str],
    memory: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Predict memory and speed of RECIPE, and find the fastest settings that fit.

    Reads the model's configuration and no weights. OVERRIDES are changes such as
    adapter.rank=32.
    """
    from ft.cli.quiet import quiet_libraries
    from ft.plan.choose import Planner, search, written
    from ft.plan.device import find_device

    limit = None if memory is None else parse_memory(memory)
    quiet_libraries()
    index = installed_index()
    with QuietProgress() as progress:
        resolved = resolve(
            read_recipe(recipe, overrides), index, progress=progress, fetch_weights=False
        )
        refuse_misfits(resolved.selection.all(), index)
        facts = find_device(device, resolved.device)
        limit = limit or 0.95 * facts.memory
        planner = Planner(resolved, facts, progress)
        own, plans = written(planner), search(planner, index, limit)
    if as_json:
        print_json(_as_json(facts, limit, own, plans))
        return
    for line in _lines(facts, limit, own, plans, planner.options.packing):
        click.echo(line)


def parse_memory(text: str) -> float:
    """Bytes of ``24GB``, ``24 GiB`` or ``24`` (GB)."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if not found or found[2].upper() not in UNITS or not float(found[1]):
        raise InputError(f"--memory {text!r} is no size", hint="write it as 24GB or 24GiB")
    return float(found[1]) * UNITS[found[2].upper()]


def _lines(
    device: Device, limit: float, own: Plan, plans: Sequence[Plan], packing: bool
) -> Iterator[str]:
    yield f"{device.name}, up to {_gb(limit)}"
    yield ""
    yield "the recipe as it is:"
    fits = "fits" if own.peak <= limit else "does not fit"
    yield from table(
        [
            *((name, f"{_gb(size):>9}") for name, size in own.terms.items()),
            ("predicted peak", f"{_gb(own.peak):>9}  ({fits})"),
            ("predicted speed", f"{_speed(own)} tokens/s"),
        ]
    )
    if own.silent:
        yield paragraph(f"Not in the estimate: what {', '.join(own.silent)} changes.")
    if not packing:
        yield paragraph("Rows are counted at max_length: shorter ones need less.")
    yield ""
    yield "settings, the best first:"
    rows = [("peak", "tokens/s", "micro", "recomputed", "", "kernels")]
    rows += [
        (
            _gb(one.peak),
            _speed(one),
            str(one.micro_batch_size),
            f"{one.recomputed} of {one.depth}",
            _verdict(one, plans[0], limit),
            ", ".join(one.kernels) or "none",
        )
        for one in plans[:SHOWN]
    ]
    yield from table(rows, wrap=True)
    yield ""
    best = plans[0]
    if best.peak > limit:
        yield paragraph(
            "None of them fits. A quantizer, an adapter that trains less, a smaller "
            "trainer.max_length or a smaller model needs less."
        )
        return
    yield "for the recipe:"
    for line in _pasted(best):
        yield f"  {line}"


def _verdict(one: Plan, best: Plan, limit: float) -> str:
    if one.peak > limit:
        return "does not fit"
    slower = 1 - one.tokens_per_second / best.tokens_per_second
    if one is best:
        return "fastest"
    return f"{slower:.0%} slower" if slower >= 0.005 else "no faster"


def _pasted(best: Plan) -> list[str]:
    checkpointing = str(best.gradient_checkpointing).lower()
    trainer = f"micro_batch_size: {best.micro_batch_size}, gradient_checkpointing: {checkpointing}"
    return [f"trainer: {{{trainer}}}", f"kernels: [{', '.join(best.kernels)}]"]


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _speed(one: Plan) -> str:
    return f"{one.tokens_per_second:,.0f}"


def _as_json(device: Device, limit: float, own: Plan, plans: Sequence[Plan]) -> dict[str, Any]:
    def shown(one: Plan) -> dict[str, Any]:
        return {
            **dataclasses.asdict(one),
            "peak": one.peak,
            "fits": one.peak <= limit,
            "gradient_checkpointing": one.gradient_checkpointing,
        }

    return {
        "device": dataclasses.asdict(device),
        "limit": limit,
        "recipe": shown(own),
        "plans": [shown(one) for one in plans],
    }
