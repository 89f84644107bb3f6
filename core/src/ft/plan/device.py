"""The facts of a device: from the list, or measured on this machine."""

from __future__ import annotations

import time
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING

from ft.api import InputError
from ft.api.estimate import Device

if TYPE_CHECKING:
    import torch

TERA, GIGA = 1e12, 1e9


def known_devices() -> dict[str, Device]:
    """The devices of ``devices.toml`` by the name that ``--device`` takes."""
    text = files("ft.plan").joinpath("devices.toml").read_text(encoding="utf-8")
    return {
        name: Device(
            facts["title"],
            "cuda",
            facts["memory"] * GIGA,
            facts["rate"] * TERA,
            facts["bandwidth"] * GIGA,
            facts.get("float8_rate", 0) * TERA,
        )
        for name, facts in tomllib.loads(text).items()
    }


def find_device(wanted: str | None, of_recipe: str) -> Device:
    """The device called ``wanted``, or the one that a run of the recipe would take here.

    One that is in the list by the name which its driver has for it has the rates of the list.
    Raises :class:`InputError` for a name that is not known.
    """
    known = known_devices()
    if wanted is not None and wanted.lower() in known:
        return known[wanted.lower()]
    if wanted is not None and wanted != "cpu":
        raise InputError(
            f"--device {wanted}: its facts are not known",
            hint=f"known: cpu, {', '.join(known)}; without --device this machine is measured",
        )
    import torch

    from ft.pipeline.device import choose_device

    device = choose_device(wanted or of_recipe)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        memory = float(torch.cuda.get_device_properties(device).total_memory)
        same = next((one for one in known.values() if one.name in name), None)
        if same is not None:
            return Device(name, "cuda", memory, same.rate, same.bandwidth, same.float8_rate)
    else:
        import psutil

        name, memory = device.type.upper(), float(psutil.virtual_memory().total)
    rate, bandwidth = measured(device)
    return Device(name, device.type, memory, rate, bandwidth)


def measured(device: torch.device) -> tuple[float, float]:
    """Operations a second of a product, and bytes a second of a copy, on this device."""
    import torch

    on_cpu = device.type == "cpu"
    size, kind = (1024, torch.float32) if on_cpu else (8192, torch.bfloat16)
    one = torch.ones(size, size, dtype=kind, device=device)

    def seconds(work: object) -> float:
        best = float("inf")
        for _ in range(4):
            if not on_cpu:
                torch.accelerator.synchronize(device)
            start = time.perf_counter()
            work()  # type: ignore[operator]
            if not on_cpu:
                torch.accelerator.synchronize(device)
            best = min(best, time.perf_counter() - start)
        return best

    return 2 * size**3 / seconds(lambda: one @ one), (
        2 * one.numel() * one.element_size() / seconds(lambda: one.clone())
    )
