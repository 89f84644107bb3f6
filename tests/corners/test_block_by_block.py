"""Corner: an optimizer that trains one block at a time (BAdam, arXiv:2404.02827)."""

from __future__ import annotations

import re

import torch
from harness import assert_resumes, changed, tiny_run, train, weights

from ft.api import Field, Optimizer, OptimizerOptions, Tracker, hookimpl
from ft_adapter_full import adapter
from ft_trainer_sft import trainer


class BlockAdam(torch.optim.Optimizer):
    """Adam on the active group of parameters; the others are frozen and have no state."""

    def __init__(self, groups, lr, every):
        super().__init__(groups, {"lr": lr, "active": 0, "taken": 0})
        self.every = every
        self._freeze_others()

    @property
    def place(self):
        """Where it is: in a group, because groups are what a state dict keeps."""
        return self.param_groups[0]

    def _freeze_others(self):
        for number, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                parameter.requires_grad_(number == self.place["active"])

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self._freeze_others()

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[self.place["active"]]
        count = self.place["taken"] % self.every + 1
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            for name in ("mean", "square"):
                state.setdefault(name, torch.zeros_like(parameter))
            state["mean"].lerp_(parameter.grad, 0.1)
            state["square"].lerp_(parameter.grad**2, 0.001)
            mean, square = state["mean"] / (1 - 0.9**count), state["square"] / (1 - 0.999**count)
            parameter.addcdiv_(mean, square.sqrt() + 1e-8, value=-group["lr"])
        self.place["taken"] += 1
        if self.place["taken"] % self.every == 0:
            self.state.clear()
            for parameter in group["params"]:
                parameter.grad = None
            self.place["active"] = (self.place["active"] + 1) % len(self.param_groups)
            self._freeze_others()


class Badam(Optimizer):
    """Adam's memory for one block of the model at a time."""

    accepts = frozenset({"gradient-accumulation", "gradient-clipping"})

    class Options(OptimizerOptions):
        every: int = Field(2, gt=0, description="steps before the next block's turn")

    @hookimpl
    def ft_build_optimizer(self, run):
        blocks = {}
        for name, parameter in run.trainable():
            layer = re.search(r"\.layers\.(\d+)\.", name)
            blocks.setdefault(layer[1] if layer else "", []).append(parameter)
        groups = [{"params": parameters} for parameters in blocks.values()]
        return BlockAdam(groups, self.options.learning_rate, self.options.every)


class Watch(Tracker):
    """Notes after each step which parameters moved, and how many count as trainable."""

    @hookimpl
    def ft_run_started(self, run):
        self.before, self.moved, self.counts = weights(run), [], []

    @hookimpl
    def ft_step_ended(self, run):
        self.moved.append(changed(run, self.before))
        self.counts.append(len(list(run.trainable())))
        self.before = weights(run)


def make(folder, *more):
    options = {"batch_size": 4, "steps": 8, "save_every": 3, "keep_checkpoints": 9}
    return tiny_run(
        folder,
        [
            trainer.bind("sft", {**options, "micro_batch_size": 2}),
            Badam().bind("badam", {"learning_rate": 1e-2, "schedule": "constant"}),
            adapter.bind("full"),
            *more,
        ],
    )


def test_one_block_at_a_time(tmp_path):
    watch = Watch().bind("watch")
    run = make(tmp_path, watch)
    all_names = weights(run).keys()
    losses = train(run)
    assert losses[-1] < losses[0]
    # embeddings, norm and head; then the two decoder layers; and again
    blocks = [frozenset(moved) for moved in watch.moved]
    assert blocks[0] == blocks[1] == blocks[6] == blocks[7]
    assert all("layers.0" in name for name in blocks[2] | blocks[3])
    assert all("layers.1" in name for name in blocks[4] | blocks[5])
    assert frozenset().union(*blocks) == all_names
    assert watch.counts == [len(all_names)] * 8


def test_resumes_exactly_in_the_middle_of_a_block(tmp_path):
    assert_resumes(lambda: make(tmp_path), 3)
