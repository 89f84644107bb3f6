"""When memory runs out: what a run changes of itself to go on, rung by rung."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ft.api import VOCABULARY, InputError, Run, TrainerOptions
from ft.training.batches import micro_batch_size
from ft.training.checkpoint import random_state, set_random_state
from ft.training.recompute import checkpoint_activations, recomputable

Computed = TypeVar("Computed")

SIGNS = ("out of memory", "can't allocate memory", "alloc_failed", "not enough memory")
"""What allocators and libraries say that have no error of their own for it, in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the device or beside it."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


class Memory:
    """The ladder that a run steps down when a step does not fit.

    First more layers recompute their activations: half of them, then all. Then the micro
    batch is halved, to the next number that divides ``batch_size``, with more accumulation.
    Either changes the time of a step and not its loss or its gradients. What was changed is
    kept in ``run.state.adapted``, so that a resumed run begins there.
    """

    def __init__(self, run: Run):
        self.run = run
        self.options: TrainerOptions = run.part("trainer").options

    def restore(self) -> None:
        """Do again what a run that was stopped had changed."""
        layers = self.run.state.adapted.get("recomputed_layers")
        if layers:
            checkpoint_activations(self.run.model, layers)

    # -- one attempt -----------------------------------------------------------------------

    def may_try_again(self) -> bool:
        """Whether half a step can be undone by dropping its gradients.

        Not with an optimizer that steps inside the backward pass, and not in a run of several
        processes: those that had enough memory wait in a pass which the other one has left.
        """
        alone = self.run.process.world_size == 1
        wanted = self.options.on_out_of_memory == "adapt"
        return wanted and alone and accepts(self.run, "gradient-accumulation")

    def attempt(self, compute: Callable[..., Computed], *arguments: Any) -> Computed | None:
        """What ``compute(*arguments)`` returns, or ``None`` where memory runs out in it.

        No gradient, random number or report is left of a failed attempt. What failed otherwise,
        or cannot be tried again, is raised as it is.
        """
        run = self.run
        before = random_state(), dict(run.reported), dict(run.unscored)
        try:
            return compute(*arguments)
        except Exception as error:
            if not (is_out_of_memory(error) and self.may_try_again()):
                raise
        # out of the handler, whose traceback holds the tensors of the failed pass
        for _, parameter in run.trainable():
            parameter.grad = None
        random, run.reported, run.unscored = before
        set_random_state(random)
        return None

    # -- the ladder ------------------------------------------------------------------------

    def step_down(self, *, smaller: bool) -> None:
        """Change the next thing, and say so.

        ``smaller`` says whether the rows can be collated in smaller pieces. Raises
        :class:`InputError` at the end of the ladder.
        """
        import torch

        gc.collect()
        if self.run.device.type == "cuda":
            torch.cuda.empty_cache()
        changed = self._recompute_more() or (smaller and self._halve())
        if not changed:
            raise self.exhausted()
        self.run.progress.warn(
            f"out of memory at step {self.run.state.step + 1}: going on with {changed}; the step "
            "is taken again, and no result changes"
        )

    def _recompute_more(self) -> str:
        run = self.run
        layers = recomputable(run.model)
        now = sum(bool(layer.gradient_checkpointing) for layer in layers)
        if now == len(layers) or not accepts(run, "gradient-checkpointing"):
            return ""
        half = -(-len(layers) // 2)
        try:
            wanted = checkpoint_activations(run.model, half if now < half else True)
        except InputError:
            return ""
        run.state.adapted["recomputed_layers"] = wanted
        return f"activations recomputed in {wanted} of {len(layers)} layers (more time a step)"

    def _halve(self) -> str:
        run, whole = self.run, self.options.batch_size
        now = micro_batch_size(run)
        smaller = [size for size in range(1, now // 2 + 1) if whole % size == 0]
        if not smaller or not accepts(run, "gradient-accumulation"):
            return ""
        run.state.adapted["micro_batch_size"] = smaller[-1]
        return f"micro_batch_size {smaller[-1]} in place of {now}, accumulated to the same batch"

    def exhausted(self) -> InputError:
        """What the user reads when nothing is left to change."""
        changed = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in self.run.state.adapted.items())
        return InputError(
            f"out of memory at step {self.run.state.step + 1}"
            + (f", with {changed} already" if changed else ""),
            where=str(self.run.device),
            hint=advice(self.run),
        )


def accepts(run: Run, word: str) -> bool:
    """Whether every part that must accept a feature does so."""
    kinds = VOCABULARY[word].accepted_by
    return all(word in p.capabilities().accepts for p in run.parts() if p.kind in kinds)


def advice(run: Run) -> str:
    """What to try when memory is not enough, as far as the recipe does not have it yet."""
    options: TrainerOptions = run.part("trainer").options
    tries: list[str] = []
    if options.micro_batch_size != 1 and run.state.adapted.get("micro_batch_size") != 1:
        tries.append("trainer.micro_batch_size: 1")
    if not options.gradient_checkpointing:
        tries.append("trainer.gradient_checkpointing: true")
    tries.append(f"a trainer.max_length below {options.max_length}")
    if run.part("quantizer") is None:
        tries.append("a quantizer for the base weights")
    if not run.parts("kernel"):
        tries.append("kernels that keep fewer activations")
    tries.append("an adapter that trains less, or an optimizer with a smaller state")
    return "try " + "; ".join(tries)


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Say what to do where memory runs out in a place that cannot be tried again."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            f"out of memory at step {run.state.step + 1}: {str(error).splitlines()[0][:200]}"
            if str(error)
            else f"out of memory at step {run.state.step + 1}",
            where=str(run.device),
            hint=advice(run),
        ) from error
