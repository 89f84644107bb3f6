"""Sliced losses are core's, forward and backward, however the tokens are cut."""

from copy import deepcopy

import pytest
import torch
from harness import random_rows, tiny_run
from torch import nn
from torch.nn import functional

from ft.api import ModelFamily
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_kernel_fused_loss import kernel as fused
from ft_kernel_fused_loss.sliced import sliced_losses
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

TOKENS, WIDTH, WORDS = 11, 8, 37
WEIGHTS = torch.linspace(-1, 2, TOKENS)
"""Of the losses in their sum: some of them zero or below, so that each place has its own."""


def head_and_states(trains=True, bias=False, kind=torch.float32):
    torch.manual_seed(3)
    head = nn.Linear(WIDTH, WORDS, bias=bias, dtype=kind).requires_grad_(trains)
    states = torch.randn(TOKENS, WIDTH, dtype=kind, requires_grad=True)
    return head, states, torch.randint(WORDS, (TOKENS,))


def gradients(losses, states, head):
    wanted = [states, *(p for p in head.parameters() if p.requires_grad)]
    return torch.autograd.grad((losses * WEIGHTS).sum(), wanted)


@pytest.mark.parametrize("rows", [1, 3, 4, TOKENS, None])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("trains", [False, True], ids=["frozen", "trained"])
@pytest.mark.parametrize("step", [1, 4])
def test_losses_and_gradients_are_torchs(monkeypatch, trains, bias, smoothing, rows, step):
    monkeypatch.setattr("ft_kernel_fused_loss.sliced.step_of", lambda device: step)
    head, states, targets = head_and_states(trains, bias)
    found = sliced_losses(states, head, targets, smoothing, rows)
    expected = functional.cross_entropy(
        head(states), targets, reduction="none", label_smoothing=smoothing
    )
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        gradients(found, states, head), gradients(expected, states, head), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("trains", [False, True], ids=["frozen", "trained"])
def test_bfloat16_is_as_near_as_torchs(trains):
    head, states, targets = head_and_states(trains, True, torch.bfloat16)
    found = sliced_losses(states, head, targets, 0.0, 3)
    assert found.dtype == torch.float32
    logits = head(states).float()
    torch.testing.assert_close(found, functional.cross_entropy(logits, targets, reduction="none"))
    exact_head, exact = deepcopy(head).float(), states.detach().float().requires_grad_()
    expected = functional.cross_entropy(exact_head(exact), targets, reduction="none")
    for one, other in zip(
        gradients(found, states, head), gradients(expected, exact, exact_head), strict=True
    ):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=2e-2, atol=2e-2)


def test_no_token_is_no_loss():
    head, states, targets = head_and_states()
    found = sliced_losses(states[:0], head, targets[:0], 0.0, 3)
    assert found.shape == (0,)
    (of_weight,) = torch.autograd.grad(found.sum(), list(head.parameters()))
    assert not of_weight.any()


def test_only_a_slice_of_the_logits_is_there():
    """The largest number of logits that is made at once is that of a slice."""
    head, states, targets = head_and_states()
    made = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and found.shape[-1:] == (WORDS,):
                made.append(found.numel())
            return found

    with Watch():
        sliced_losses(states, head, targets, 0.0, 2)
    assert max(n for n in made if n != WIDTH * WORDS) == 2 * WORDS


def run_of(folder, *kernels, adapter=full, **more):
    options = {"steps": 2, "precision": "float32", **more.pop("trainer", {})}
    parts = [adapter.bind("adapter"), adamw.bind("adamw", {}), sft.bind("sft", options)]
    return tiny_run(folder, [*parts, *kernels], **more)


@pytest.mark.parametrize("adapter", [full, lora], ids=["trained", "frozen"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_model_learns_the_same(tmp_path, adapter, smoothing):
    found = []
    for kernels in ((), (fused.bind("fused-loss", {"slice": 3}),)):
        torch.manual_seed(0)
        run = run_of(tmp_path, *kernels, adapter=adapter)
        run.model.train()
        tokens = run.token_losses(run.model, run.collate(random_rows(4)), smoothing)
        (tokens.losses * tokens.weights).sum().backward()
        found.append((tokens, {name: p.grad for name, p in run.trainable()}))
        logits = tokens.outputs.logits
        assert (logits.numel() == logits.shape[-1]) == bool(kernels), "one place's logits at most"
    (plain, of_plain), (fast, of_fast) = found
    torch.testing.assert_close(plain.losses, fast.losses)
    assert plain.weights.equal(fast.weights)
    assert plain.documents.equal(fast.documents)
    assert of_plain.keys() == of_fast.keys()
    for name, gradient in of_plain.items():
        torch.testing.assert_close(gradient, of_fast[name], msg=name)


def test_a_model_that_caps_its_logits_goes_cores_way(tmp_path):
    family = ModelFamily(
        "Gemma 2", "Google", ("gemma2",), tiny={"gemma2": {"final_logit_softcapping": 2.0}}
    )
    found = []
    for kernels in ((), (fused.bind("fused-loss", {"slice": 3}),)):
        run = run_of(tmp_path, *kernels, family=family, model_type="gemma2")
        batch = run.collate(random_rows(3))
        found.append(run.token_losses(run.model.eval(), batch))
    assert found[0].losses.equal(found[1].losses)
    assert 1.5 < found[1].outputs.logits.abs().max() <= 2.0, "the cap was in force"
