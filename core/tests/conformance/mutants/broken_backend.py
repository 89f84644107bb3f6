"""Backends that are broken in one way."""

from __future__ import annotations

import os
import subprocess

from mutant import mutant

from ft.api import Process, hookimpl
from ft.conformance.reference.backend import Alone


class Gloo(Alone):
    """Two processes of this machine that meet in a file; the mutants break a part of it."""

    @hookimpl
    def ft_launch(self, command):
        if "GLOO_RANK" in os.environ:
            return None
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            shared = {**os.environ, "GLOO_FILE": f"{folder}/meet"}
            children = [
                subprocess.Popen(command, env={**shared, "GLOO_RANK": str(rank)})
                for rank in range(2)
            ]
            return max(child.wait() for child in children)

    @hookimpl
    def ft_start_process(self, run):
        import torch

        rank = int(os.environ["GLOO_RANK"])
        meet = f"file://{os.environ['GLOO_FILE']}"
        torch.distributed.init_process_group("gloo", meet, rank=rank, world_size=2)
        run.process = Process(rank, 2, rank)

    @hookimpl
    def ft_wrap_model(self, model):
        import torch

        return torch.nn.parallel.DistributedDataParallel(model)

    @hookimpl
    def ft_sum(self, value):
        import torch

        tensor = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float64)
        tensor = tensor.clone()
        torch.distributed.all_reduce(tensor)
        return tensor if torch.is_tensor(value) else float(tensor)

    @hookimpl
    def ft_end_process(self):
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@mutant("backend.trains-as-one")
class NoWrapper(Gloo):
    """Each process follows its own gradients."""

    @hookimpl
    def ft_wrap_model(self, model):
        return model


@mutant("backend.sums-keep-their-form")
class SumsInPlace(Gloo):
    """Adds into the tensor that it was given."""

    @hookimpl
    def ft_sum(self, value):
        import torch

        tensor = torch.as_tensor(value, dtype=None if torch.is_tensor(value) else torch.float64)
        torch.distributed.all_reduce(tensor)
        return tensor if torch.is_tensor(value) else float(tensor)


@mutant("backend.sums-keep-their-form", "backend.trains-as-one")
class SumsToTensors(Alone):
    """Gives a tensor for a number."""

    @hookimpl
    def ft_sum(self, value):
        import torch

        return torch.as_tensor(value)


@mutant("backend.gives-the-group-back", "every.no-state-left")
class KeepsItsGroup(Alone):
    """Makes a group and never leaves it."""

    @hookimpl
    def ft_start_process(self, run):
        import torch

        if not torch.distributed.is_initialized():
            store = torch.distributed.HashStore()
            torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        run.process = Process()


@mutant("backend.gives-the-group-back")
class EndsWhatIsNotThere(Alone):
    """Destroys a group without asking whether there is one."""

    @hookimpl
    def ft_start_process(self, run):
        import torch

        store = torch.distributed.HashStore()
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        run.process = Process()

    @hookimpl
    def ft_end_process(self):
        import torch

        torch.distributed.destroy_process_group()


class Child(Alone):
    """One process that it starts itself."""

    @hookimpl
    def ft_launch(self, command):
        if "CHILD" in os.environ:
            return None
        return self.start(command)

    def start(self, command):
        return subprocess.run(command, env={**os.environ, "CHILD": "1"}, check=False).returncode


@mutant(
    "backend.launches-once",
    "backend.trains-as-one",
    "backend.sums-keep-their-form",
    "backend.gives-the-group-back",
)
class LaunchesForEver(Child):
    """Does not know itself in the process that it started."""

    @hookimpl
    def ft_launch(self, command):
        return self.start(command)


@mutant("backend.tells-a-failure")
class SwallowsFailures(Child):
    """Takes the end of its process for success."""

    def start(self, command):
        super().start(command)
        return 0


@mutant("backend.launches-once")
class AllAreFirst(Child):
    """Starts two processes that do the same and both take themselves for the main one."""

    def start(self, command):
        return max(Child.start(self, command) for _ in range(2))
