"""Optimizers that are broken in one way."""

from __future__ import annotations

from functools import cache

from mutant import mutant

from ft.api import Limit, hookimpl
from ft.conformance.reference.optimizer import Reference


@cache
def adam():
    """Adam by hand, whose parts the mutants replace."""
    import torch

    class Adam(torch.optim.Optimizer):
        def __init__(self, groups, lr):
            super().__init__(groups, {"lr": lr, "weight_decay": 0.0})

        def step(self, closure=None):
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            with torch.no_grad():
                self.begin()
                for group in self.param_groups:
                    for parameter in group["params"]:
                        gradient = self.gradient_of(parameter)
                        if gradient is not None:
                            self.update(parameter, gradient, self.state[parameter], group)
            return loss

        def begin(self):
            """What a step does before it looks at parameters."""

        def gradient_of(self, parameter):
            return parameter.grad

        def count(self, state):
            state["step"] = state.get("step", 0) + 1
            return state["step"]

        def rate(self, group):
            return group["lr"]

        def moments(self, state, like):
            for name in ("mean", "square"):
                if name not in state:
                    state[name] = torch.zeros_like(like, dtype=torch.float32)
            return state["mean"], state["square"]

        def update(self, parameter, gradient, state, group):
            mean, square = self.moments(state, parameter)
            count, gradient = self.count(state), gradient.float()
            mean += (gradient - mean) * 0.1
            square += (gradient**2 - square) * 0.001
            parameter.mul_(1 - self.rate(group) * group["weight_decay"])
            mean, square = mean.float() / (1 - 0.9**count), square.float() / (1 - 0.999**count)
            step = mean / (square.sqrt() + 1e-8)
            parameter.add_(step, alpha=-self.rate(group))

    return Adam


class ByHand(Reference):
    """The reference with an optimizer of its own; ``optimizer_class`` makes its class."""

    def optimizer_class(self):
        return adam()

    @hookimpl
    def ft_build_optimizer(self, run):
        return self.optimizer_class()(self.parameter_groups(run), self.options.learning_rate)


# -- what it remembers ---------------------------------------------------------------------


@mutant("optimizer.state-comes-back", "optimizer.resumes")
class ForgetsItsStepCount(ByHand):
    """The step count is an attribute, and no checkpoint has it."""

    def optimizer_class(self):
        class Adam(adam()):
            taken = 0

            def begin(self):
                self.taken += 1

            def count(self, state):
                return self.taken

        return Adam


@mutant("optimizer.state-comes-back", "optimizer.resumes")
class StateNotRestored(ByHand):
    """A ``load_state_dict`` of its own that takes the groups and leaves the moments."""

    def optimizer_class(self):
        class Adam(adam()):
            def load_state_dict(self, state):
                super().load_state_dict({**state, "state": {}})

        return Adam


@mutant("optimizer.state-comes-back")
class CountsInPluginState(ByHand):
    """The step count goes through the plugin's state: a ``state_dict`` alone is not enough."""

    taken = 0

    def optimizer_class(self):
        plugin = self

        class Adam(adam()):
            def begin(self):
                plugin.taken += 1

            def count(self, state):
                return plugin.taken

        return Adam

    @hookimpl
    def ft_plugin_state(self):
        return {"taken": self.taken}

    @hookimpl
    def ft_restore_plugin_state(self, state):
        self.taken = state["taken"]


@mutant("optimizer.resumes")
class ScheduleBeginsAnew(Reference):
    """A schedule whose place is not in its ``state_dict``."""

    @hookimpl
    def ft_build_scheduler(self, optimizer, steps):
        from torch.optim.lr_scheduler import LambdaLR

        class Forgetful(LambdaLR):
            def load_state_dict(self, state):
                """Takes nothing back."""

        usual = super().ft_build_scheduler(optimizer=optimizer, steps=steps)
        return Forgetful(optimizer, usual.lr_lambdas)


@mutant("optimizer.state-comes-back", "optimizer.resumes")
class StateOfItsOwnClass(ByHand):
    """State that only unpickling brings back."""

    def optimizer_class(self):
        from fractions import Fraction

        class Adam(adam()):
            def count(self, state):
                state["step"] = state.get("step", Fraction(0)) + 1
                return int(state["step"])

        return Adam


@mutant(
    "every.deterministic",
    "optimizer.state-comes-back",
    "optimizer.resumes",
    "optimizer.vectors-do-not-decay",
)
class NobodysSeed(ByHand):
    """Noise on the step from a generator that nobody seeds."""

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            def update(self, parameter, gradient, state, group):
                super().update(parameter, gradient, state, group)
                generator = torch.Generator()
                generator.seed()
                noise = torch.randn(parameter.shape, generator=generator) * gradient.sign()
                parameter.add_(noise, alpha=group["lr"] / 5000)

        return Adam


# -- how it minimizes ----------------------------------------------------------------------


@mutant("optimizer.reaches-the-minimum", "optimizer.trains-bfloat16", "optimizer.trains-a-model")
class Ascends(Reference):
    """The sign of the update is wrong."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            group["maximize"] = True
        return built


@mutant(
    "optimizer.reaches-the-minimum",
    "optimizer.trains-bfloat16",
    "optimizer.state-comes-back",
    "optimizer.resumes",
)
class HalfState(ByHand):
    """Moments in float16, where small squares are zero; loading gives them the weights' type."""

    def bytes_per_parameter(self):
        return 4.0

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            def moments(self, state, like):
                for name in ("mean", "square"):
                    if name not in state:
                        state[name] = torch.zeros_like(like, dtype=torch.float16)
                return state["mean"], state["square"]

        return Adam


@mutant("optimizer.trains-bfloat16")
class OneTypeOnly(ByHand):
    """An operation that does not take a gradient in another type than the state's."""

    def optimizer_class(self):
        class Adam(adam()):
            def update(self, parameter, gradient, state, group):
                mean, _ = self.moments(state, parameter)
                mean.lerp(gradient, 0.1)
                super().update(parameter, gradient, state, group)

        return Adam


@mutant("optimizer.trains-a-model", "optimizer.resumes")
class OneShapeOnly(ByHand):
    """A buffer that is made for the first matrix, and used for all."""

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            def update(self, parameter, gradient, state, group):
                if parameter.ndim == 2:
                    shared = group.setdefault("buffer", torch.empty_like(parameter))
                    shared.copy_(gradient)
                super().update(parameter, gradient, state, group)

        return Adam

    def bytes_per_parameter(self):
        return 12.0


# -- its memory ----------------------------------------------------------------------------


@mutant("optimizer.memory")
class TwiceTheClaim(Reference):
    """Says nothing of the moments' companion that it keeps."""

    def bytes_per_parameter(self):
        return 4.0


@mutant("optimizer.memory")
class KeepsTheGradient(ByHand):
    """A copy of the last gradient in an attribute."""

    def optimizer_class(self):
        class Adam(adam()):
            def gradient_of(self, parameter):
                kept = self.__dict__.setdefault("last", {})
                kept[id(parameter)] = None if parameter.grad is None else parameter.grad.clone()
                return parameter.grad

        return Adam


@mutant("optimizer.memory")
class SaysNoMemory(Reference):
    """Without the method that says what it needs."""

    def bytes_per_parameter(self):
        raise NotImplementedError


# -- options and groups --------------------------------------------------------------------


@mutant("optimizer.groups-have-their-own-rate")
class OwnLearningRate(ByHand):
    """Steps by the option rather than by the group's rate: no schedule has an effect."""

    def optimizer_class(self):
        rate = self.options.learning_rate

        class Adam(adam()):
            def rate(self, group):
                return rate

        return Adam


@mutant("optimizer.follows-the-schedule")
class AnotherPeak(Reference):
    """Half of the learning rate that was asked for."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            group["lr"] = self.options.learning_rate / 2
        return built


@mutant("optimizer.follows-the-schedule")
class NoSchedule(Reference):
    """A schedule of its own that never moves."""

    @hookimpl
    def ft_build_scheduler(self, optimizer):
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, lambda step: 1.0)


@mutant("optimizer.follows-the-schedule")
class OneGroupAlone(Reference):
    """A schedule that moves the first group and forgets the others."""

    @hookimpl
    def ft_build_scheduler(self, optimizer, steps):
        schedule = super().ft_build_scheduler(optimizer=optimizer, steps=steps)
        schedule.lr_lambdas[1:] = [lambda step: 1.0] * (len(schedule.lr_lambdas) - 1)
        return schedule


@mutant("optimizer.weight-decay")
class IgnoresWeightDecay(Reference):
    """An option that nobody reads."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            group["weight_decay"] = 0.0
        return built


@mutant("optimizer.weight-decay")
class DecaysUnasked(Reference):
    """Matrices decay by the library's own 0.01 where the option is 0."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            if group["params"][0].ndim >= 2:
                group["weight_decay"] = group["weight_decay"] or 0.01
        return built


@mutant("optimizer.weight-decay")
class Grows(Reference):
    """A decay with the wrong sign."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for group in built.param_groups:
            group["weight_decay"] = -group["weight_decay"]
        return built


@mutant("optimizer.vectors-do-not-decay")
class DecaysVectors(Reference):
    """One group for all parameters."""

    @hookimpl
    def ft_build_optimizer(self, run):
        import torch

        parameters = [p for _, p in run.trainable()]
        options = self.options
        return torch.optim.AdamW(
            parameters, lr=options.learning_rate, weight_decay=options.weight_decay
        )


@mutant("optimizer.takes-each-parameter-once")
class TakesFrozenWeights(Reference):
    """``model.parameters()`` in place of those that train."""

    def parameter_groups(self, run):
        groups = super().parameter_groups(run)
        groups[0]["params"] += [p for p in run.model.parameters() if not p.requires_grad]
        return groups


@mutant("optimizer.takes-each-parameter-once")
class ForgetsModules(Reference):
    """The parameters of the model alone: a head beside it never learns."""

    def parameter_groups(self, run):
        own = {id(p) for p in run.model.parameters()}
        groups = super().parameter_groups(run)
        return [
            {**group, "params": [p for p in group["params"] if id(p) in own]} for group in groups
        ]


@mutant("optimizer.takes-each-parameter-once")
class TakesHeadsTwice(Reference):
    """A module beside the model gets a group for itself, and is in the others as well."""

    @hookimpl
    def ft_build_optimizer(self, run):
        built = super().ft_build_optimizer(run=run)
        for module in run.modules.values():
            built.param_groups.append({**built.param_groups[0], "params": [*module.parameters()]})
        return built


@mutant("optimizer.leaves-what-has-no-gradient")
class MissingIsZero(ByHand):
    """A parameter without a gradient gets state, and decays."""

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            def gradient_of(self, parameter):
                return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

        return Adam


@mutant("optimizer.clears-gradients")
class ClearsWhatItKnows(ByHand):
    """``zero_grad`` reaches parameters that have state already."""

    def optimizer_class(self):
        class Adam(adam()):
            def zero_grad(self, set_to_none=True):
                for parameter in self.state:
                    parameter.grad = None

        return Adam


# -- capabilities --------------------------------------------------------------------------


@mutant("optimizer.closure")
class DropsTheClosure(ByHand):
    """A ``step`` that takes the argument and does nothing with it."""

    def optimizer_class(self):
        class Adam(adam()):
            def step(self, closure=None):
                super().step()

        return Adam


@mutant("optimizer.closure")
class ClosureWithoutGradients(ByHand):
    """The whole step under ``no_grad``, the closure too."""

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            @torch.no_grad()
            def step(self, closure=None):
                loss = closure() if closure is not None else None
                super().step()
                return loss

        return Adam


@mutant("optimizer.gradient-accumulation", "optimizer.gradient-clipping")
class StepsInBackward(ByHand):
    """Steps as soon as a gradient is there, and says that it can wait for more."""

    provides = Reference.provides - {"step-closure"}

    def optimizer_class(self):
        import torch

        class Adam(adam()):
            def __init__(self, groups, lr):
                super().__init__(groups, lr)
                for number, group in enumerate(self.param_groups):
                    for parameter in group["params"]:
                        parameter.register_post_accumulate_grad_hook(self.taking(number))

            def taking(self, number):
                @torch.no_grad()
                def take(parameter):
                    group = self.param_groups[number]
                    self.update(parameter, parameter.grad, self.state[parameter], group)
                    parameter.grad = None

                return take

            def step(self, closure=None):
                """Nothing is left to do."""

        return Adam


@mutant("optimizer.gradient-accumulation")
class LastPieceAlone(ByHand):
    """The gradient of each backward pass takes the place of the one before."""

    def optimizer_class(self):
        class Adam(adam()):
            def __init__(self, groups, lr):
                super().__init__(groups, lr)
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.register_hook(self.forgetting(parameter))

            def forgetting(self, parameter):
                def forget(gradient):
                    return gradient if parameter.grad is None else gradient - parameter.grad

                return forget

        return Adam


@mutant("optimizer.gradient-clipping")
class CopiesBeforeClipping(ByHand):
    """Steps on a copy that was made when the gradient came."""

    def bytes_per_parameter(self):
        return 12.0

    def optimizer_class(self):
        class Adam(adam()):
            def __init__(self, groups, lr):
                super().__init__(groups, lr)
                self.copies = {}
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.register_post_accumulate_grad_hook(self.keep)

            def keep(self, parameter):
                self.copies[parameter] = parameter.grad.clone()

            def gradient_of(self, parameter):
                return None if parameter.grad is None else self.copies[parameter]

        return Adam


@mutant("optimizer.gradient-accumulation", "optimizer.gradient-clipping", "every.limits")
class SaysTwoThings(Reference):
    """Calls two words not implemented, and accepts them all the same."""

    limits = {
        word: Limit("not-implemented", "The update comes too early for that.")
        for word in ("gradient-accumulation", "gradient-clipping")
    }
