"""Corner: an optimizer that steps inside the backward pass, layer by layer (as LOMO does)."""

from __future__ import annotations

import torch
from harness import assert_resumes, changed, tiny_run, train, weights

from ft.api import Optimizer, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_full import adapter
from ft_trainer_sft import trainer


class StepsInBackward(torch.optim.Optimizer):
    """SGD with momentum that takes and frees each gradient as soon as it is there."""

    def __init__(self, groups, lr, momentum):
        super().__init__(groups, {"lr": lr, "momentum": momentum})
        self.most_alive = 0
        for number, group in enumerate(self.param_groups):
            for parameter in group["params"]:
                parameter.register_post_accumulate_grad_hook(self._taking(number))

    def _taking(self, number):
        def take(parameter):
            # looked up now: load_state_dict puts new groups into place
            group = self.param_groups[number]
            alive = sum(p.grad is not None for g in self.param_groups for p in g["params"])
            self.most_alive = max(self.most_alive, alive)
            state = self.state[parameter]
            if "velocity" not in state:
                state["velocity"] = torch.zeros_like(parameter)
            with torch.no_grad():
                state["velocity"].mul_(group["momentum"]).add_(parameter.grad)
                parameter.add_(state["velocity"], alpha=-group["lr"])
            parameter.grad = None

        return take

    def step(self, closure=None):
        """Nothing is left to do."""


class Backward(Optimizer):
    """Memory for the gradient of one layer at a time."""

    # neither a sum of gradients nor their norm nor their mean over processes is ever there
    accepts = frozenset()

    @hookimpl
    def ft_build_optimizer(self, run):
        return StepsInBackward(
            self.parameter_groups(run), lr=self.options.learning_rate, momentum=0.9
        )


class Sgd(Optimizer):
    """The same update after the backward pass, to compare with."""

    @hookimpl
    def ft_build_optimizer(self, run):
        return torch.optim.SGD(
            self.parameter_groups(run), lr=self.options.learning_rate, momentum=0.9
        )


OPTIONS = {
    "batch_size": 4,
    "epochs": 4,
    "save_every": 3,
    "keep_checkpoints": 9,
    "max_grad_norm": None,
    "precision": "float32",
}


def make(folder, optimizer=Backward, **options):
    return tiny_run(
        folder,
        [
            trainer.bind("sft", {**OPTIONS, **options}),
            optimizer().bind("in-backward", {"learning_rate": 0.02, "warmup": 2}),
            adapter.bind("full"),
        ],
    )


def test_steps_as_an_ordinary_optimizer_does(tmp_path):
    run = make(tmp_path)
    before = weights(run)
    losses = train(run)
    assert losses[-1] < losses[0]
    assert changed(run, before) == before.keys()
    assert run.optimizer.most_alive < len(before)
    plain = make(tmp_path, Sgd)
    train(plain)
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(run)[name], weight)


def test_capabilities_refuse_what_it_cannot_do(tmp_path):
    run = make(tmp_path)
    assert not misfits(run.parts())
    asking = trainer.bind("sft", {"batch_size": 4, "micro_batch_size": 2})
    words = {m.capability for m in misfits([asking, *run.parts("optimizer")])}
    assert words == {"gradient-accumulation", "gradient-clipping"}


def test_resumes_exactly(tmp_path):
    assert_resumes(lambda: make(tmp_path), 3)
