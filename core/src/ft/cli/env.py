"""``ft env``: this machine and installation, fit for pasting into a bug report.

The commands below it are in :mod:`ft.cli.environment`.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import ft
from ft.cli.environment import COMMANDS
from ft.cli.output import print_json, table
from ft.errors import FtError
from ft.plugins.policy import installed_index, read_policy

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "peft",
    "bitsandbytes",
    "accelerate",
    "trl",
    "datasets",
    "huggingface-hub",
    "flash-attn",
    "deepspeed",
    "vllm",
    "triton",
    "numpy",
    "pyarrow",
    "pydantic",
    "pluggy",
    "click",
)
VARIABLES = re.compile(
    r"FT_|HF_|TRANSFORMERS_|CUDA_|NCCL_|PYTORCH_|TORCH_|OMP_NUM_THREADS$|TOKENIZERS_"
    r"|(LOCAL_|WORLD_)?(RANK|SIZE)$|MASTER_"
)
SECRET = re.compile(r"TOKEN(?!IZERS)|KEY|SECRET|PASSWORD")


@click.group(invoke_without_command=True, commands=dict(COMMANDS))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def env(context: click.Context, as_json: bool) -> None:
    """Describe this machine and installation, for a bug report.

    Its commands lock what is installed, and tell whether it is what was locked.
    """
    if context.invoked_subcommand:
        return
    facts = gather()
    if as_json:
        print_json(facts)
        return
    rows = [[name, line] for name, value in facts.items() for line in _lines(value)]
    # a name is written once, before the first of its lines
    seen: set[str] = set()
    for row in rows:
        name = row[0]
        row[0] = "" if name in seen else name
        seen.add(name)
    for line in table(rows, widths=[max(len(name) for name in facts)], indent=0, wrap=True):
        click.echo(line)


def gather() -> dict[str, Any]:
    """Everything that ``ft env`` shows. Whatever cannot be found out says so."""
    return {
        "ft-core": ft.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "gpus": _gpus(),
        "torch sees": _torch(),
        "libraries": _libraries(),
        **_plugins(),
        "environment": {
            name: "(set)" if SECRET.search(name) else value
            for name, value in sorted(os.environ.items())
            if VARIABLES.match(name)
        },
    }


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key} {text}" for key, text in value.items()] or ["none"]
    return (value or ["none"]) if isinstance(value, list) else [value]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1] if model else platform.processor() or platform.machine()


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB available"


def _gpus() -> list[str]:
    """What the NVIDIA driver reports, which works where torch does not."""
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    query = "--query-gpu=name,memory.total,driver_version"
    try:
        done = subprocess.run(
            [program, query, "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"nvidia-smi fails: {error}"]
    lines = (done.stdout if done.returncode == 0 else done.stdout + done.stderr).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _torch() -> str:
    """The devices that torch can use; how its import fails, where it does."""
    try:
        import torch

        if torch.cuda.is_available():
            hip, cuda = torch.version.hip, torch.version.cuda
            version = f"ROCm {hip}" if hip else f"CUDA {cuda}"
            return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}, {version}"
        if torch.backends.mps.is_available():
            return "Apple GPU (MPS)"
        return f"the processor only, {torch.get_num_threads()} threads"
    except Exception as error:  # a torch that is absent or damaged is worth reporting
        return f"nothing: {type(error).__name__}: {error}"


def _libraries() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name) or "(unknown version)"
        except PackageNotFoundError:
            continue
    return found


def _plugins() -> dict[str, Any]:
    try:
        states = Counter(record.state for record in installed_index().records)
        return {
            "plugins": ", ".join(f"{n} {state}" for state, n in states.most_common()) or "none",
            "policy": [str(file) for file in read_policy().files],
        }
    except FtError as error:
        return {"plugins": "not read, because of the policy", "policy": [str(error)]}
