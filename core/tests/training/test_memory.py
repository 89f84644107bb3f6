"""A step that does not fit is taken again, smaller, and nothing else is different."""

from __future__ import annotations

import pytest
import torch
from harness import changed, train, weights

from ft.api import InputError, Kernel, Process, hookimpl
from ft.training.checkpoint import checkpoints
from ft.training.memory import Memory, is_out_of_memory
from ft.training.recompute import checkpoint_activations, recomputable


class Small(Kernel):
    """A device with room for so many rows of so many layers that keep their activations.

    It runs out in the backward pass of the last rows, when gradients of others are there
    already and random numbers are drawn.
    """

    rows, layers, error = 10**9, 10**9, torch.OutOfMemoryError("CUDA out of memory. Tried")

    @hookimpl
    def ft_extra_loss(self, run, outputs, batch):
        rows = batch["input_ids"].shape[0]
        keeping = sum(not layer.gradient_checkpointing for layer in recomputable(run.model))
        if run.model.training and (rows > self.rows or keeping > self.layers):
            run.report("half", 1.0)
            outputs.logits.sum().backward()
            torch.rand(7)
            raise self.error


def small(**limits):
    bound = Small().bind("small")
    for name, value in limits.items():
        setattr(bound, name, value)
    return bound


def close(run, other):
    for name, weight in weights(other).items():
        torch.testing.assert_close(weights(run)[name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize("parts", ["adamw", "lora"])
def test_a_smaller_micro_batch_as_if_from_the_start(make, parts):
    run = make(parts, small(rows=2), batch_size=8, steps=5)
    losses = train(run)
    # the layers recompute by then, which is tried first
    asked = make(parts, batch_size=8, micro_batch_size=2, steps=5, gradient_checkpointing=True)
    expected = train(asked)
    assert losses == pytest.approx(expected, abs=1e-6)
    close(run, asked)
    lines = [line for line in run.state.history if "loss" in line]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert run.state.tokens == asked.state.tokens
    assert run.state.adapted == {"recomputed_layers": 2, "micro_batch_size": 2}
    assert {line["micro_batch_size"] for line in lines} == {2}
    assert all("half" not in line for line in lines)  # what a failed attempt told is dropped
    said = [line for line in run.progress.lines if "out of memory" in line]
    assert [line.partition("going on with ")[2].partition(";")[0] for line in said] == [
        "activations recomputed in 1 of 2 layers (more time a step)",
        "activations recomputed in 2 of 2 layers (more time a step)",
        "micro_batch_size 4 in place of 8, accumulated to the same batch",
        "micro_batch_size 2 in place of 4, accumulated to the same batch",
    ]


@pytest.mark.parametrize(("layers", "recomputed"), [(1, 1), (0, 2)])
def test_recomputing_comes_first_and_no_more_than_is_needed(make, layers, recomputed):
    run, plain = make("lora", small(layers=layers), steps=4), make("lora", steps=4)
    assert train(run) == pytest.approx(train(plain), abs=1e-5)
    assert run.state.adapted == {"recomputed_layers": recomputed}


class Later(Small):
    """Has room until the fourth step."""

    rows = 1

    @hookimpl
    def ft_extra_loss(self, run, outputs, batch):
        if run.state.step >= 3:
            super().ft_extra_loss(run, outputs, batch)


def test_in_the_middle_of_a_run_and_a_resumed_one_begins_there(make):
    options = {"steps": 8, "batch_size": 4, "save_every": 5, "keep_checkpoints": 9}
    run = make("adamw", Later().bind("later"), **options)
    train(run)
    assert run.state.adapted["micro_batch_size"] == 1
    assert "micro_batch_size" not in run.state.history[2]
    again = make("adamw", Later().bind("later"), **options)
    train(again, checkpoints(run.folder)[0])
    assert changed(again, weights(run)) == set()
    assert not [line for line in again.progress.lines if "out of memory" in line]


def test_the_end_of_the_ladder_says_what_to_try(make):
    run = make("adamw", small(rows=0), batch_size=4)
    with pytest.raises(InputError, match="out of memory at step 1, with recomputed layers 2") as e:
        train(run)
    assert "a quantizer for the base weights" in e.value.hint
    assert run.state.step == 0


def test_a_run_may_want_to_stop_instead(make):
    run = make("adamw", small(rows=2), on_out_of_memory="stop")
    with pytest.raises(InputError, match="out of memory at step 1: CUDA out of memory") as error:
        train(run)
    assert "trainer.micro_batch_size: 1" in error.value.hint
    assert run.state.adapted == {}


def test_another_failure_is_raised_as_it_is(make):
    with pytest.raises(RuntimeError, match="shapes"):
        train(make("adamw", small(rows=0, error=RuntimeError("shapes do not fit"))))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes"), False),
        (KeyError("out of memory"), False),
    ],
)
def test_what_counts(error, is_one):
    assert is_out_of_memory(error) is is_one


def test_an_optimizer_that_steps_while_gradients_are_made_cannot_try_again(make):
    run = make("adamw", small(rows=2))

    class Taking(type(run.part("optimizer"))):
        accepts = frozenset({"gradient-clipping"})

    run.selection = run.selection.replaced(run.part("optimizer"), Taking().bind("taking"))
    with pytest.raises(InputError, match="out of memory at step 1: CUDA"):
        train(run)
    assert run.state.adapted == {}


def test_several_processes_cannot_try_again(make):
    run = make("adamw")
    assert Memory(run).may_try_again()
    run.process = Process(0, 2)
    assert not Memory(run).may_try_again()


@pytest.mark.parametrize("layers", [True, 1])
def test_recomputing_some_layers_changes_no_gradient(make, layers):
    found = []
    for count in (0, layers):
        run = make("adamw")
        if count:
            assert checkpoint_activations(run.model, count) == (2 if count is True else 1)
        on = [layer.gradient_checkpointing for layer in recomputable(run.model)]
        assert sum(on) == (0 if not count else 2 if count is True else 1)
        batch = run.collate(run.data[:4])
        run.model.train()
        tokens = run.token_losses(run.model, batch)
        (tokens.losses * tokens.weights).sum().backward()
        found.append({name: p.grad for name, p in run.trainable()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-5, atol=1e-6)
