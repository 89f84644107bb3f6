"""A program that trains in as many processes as asked, through a backend of its own.

``python ddp_program.py FOLDER PROCESSES``; the trained weights go to
``FOLDER/PROCESSES.safetensors``. It is what ``ft train`` does, without a recipe.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from harness import NoTokenizer, Told, random_rows
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from ft.api import (
    Backend,
    Field,
    Loss,
    ModelFamily,
    PluginOptions,
    Process,
    Run,
    Tracker,
    Trainer,
    hookimpl,
)
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.load import adapt, load_config
from ft.pipeline.run import start_process, train
from ft.plugins.selection import Selection
from ft_adapter_lora import adapter
from ft_optimizer_adamw import optimizer


class Gloo(Backend):
    """Copies of the model in several processes of this machine, over gloo."""

    provides = frozenset({"data-parallel"})

    class Options(PluginOptions):
        processes: int = Field(2, gt=1, description="number of processes")

    @hookimpl
    def ft_launch(self, run, command):
        if "RANK" in os.environ:
            return None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        world = self.options.processes
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
        children = [
            subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank)})
            for rank in range(world)
        ]
        codes = [child.wait() for child in children]
        return next((code for code in codes if code), 0)

    @hookimpl
    def ft_start_process(self, run):
        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
        run.process = Process(rank, torch.distributed.get_world_size(), rank)

    @hookimpl
    def ft_wrap_model(self, model):
        return nn.parallel.DistributedDataParallel(model)

    @hookimpl
    def ft_sum(self, run, value):
        tensor = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float64)
        tensor = tensor.clone()
        torch.distributed.all_reduce(tensor)
        return tensor if torch.is_tensor(value) else float(tensor)

    @hookimpl
    def ft_end_process(self):
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


class WithBias(Trainer):
    """Cross-entropy, plus a learned offset beside the model that predicts it."""

    accepts = Trainer.accepts | {"packing"}

    @hookimpl
    def ft_add_modules(self, run):
        return {"guess": nn.Linear(1, 1)}  # drawn at random: must be the same everywhere

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        tokens = run.token_losses(model, batch)
        guess = run.modules["guess"](torch.ones(len(tokens.losses), 1))[:, 0]
        guessed = functional.mse_loss(guess, tokens.losses.detach(), reduction="none")
        return Loss(((tokens.losses + guessed) * tokens.weights).sum())


class Steps(Tracker):
    """Prints each step, in the main process only."""

    @hookimpl
    def ft_step_ended(self, run, metrics):
        print("step", metrics["step"], metrics["tokens"], flush=True)


def main(folder: Path, processes: int) -> None:
    family = ModelFamily("Llama", "Meta", ("llama",)).bind("llama")
    # 7 rows in batches of 4: the last step leaves one process with nothing
    options = {
        "batch_size": 4,
        "micro_batch_size": 1,
        "epochs": 2,
        "save_every": 2,
        "keep_checkpoints": 9,
        "precision": "float32",
    }
    plugins = [
        family,
        WithBias().bind("with-bias", options),
        # Adam moves a weight by up to the rate however small its gradient is, so a rounding in
        # the gradient's last bits shows as a share of the rate: 1e-2 would show 3e-6
        optimizer.bind("adamw", {"learning_rate": 1e-3}),
        adapter.bind("lora", {"rank": 4}),
        Steps().bind("steps"),
    ]
    if processes > 1:
        plugins.append(Gloo().bind("gloo", {"processes": processes}))
    run = Run(Selection(plugins, DEFAULTS), folder=folder / str(processes), progress=Told())
    code = run.hook.ft_launch(run=run, command=[sys.executable, *sys.orig_argv[1:]])
    if code is not None:
        raise SystemExit(code)
    run.model_folder = folder / "model"
    run.tokenizer = NoTokenizer()
    resume = folder / str(processes) / "checkpoints" / "step-000002"
    try:
        start_process(run, "cpu")
        load_config(run)
        run.data = random_rows(7)
        adapt(run)
        train(run, resume if resume.exists() else None)
        if run.process.is_main:
            trained = {name: p.detach().clone() for name, p in run.trainable()}
            save_file(trained, folder / f"{processes}.safetensors")
    finally:
        run.selection.notify("ft_end_process", run=run, ending=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
