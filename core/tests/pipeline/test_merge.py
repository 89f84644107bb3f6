import pytest
import torch
from harness import logits, tiny_run

from ft.api import Adapter, RunError, hookimpl


class Scaled(Adapter):
    """The output layer behind a factor of 2, which the merge takes for another one."""

    def __init__(self, taken):
        self.taken = taken

    @hookimpl
    def ft_adapt_model(self, model):
        model.lm_head.register_forward_hook(lambda _, inputs, output: 2 * output)
        return model

    @hookimpl
    def ft_merge_model(self, model):
        model.lm_head._forward_hooks.clear()
        with torch.no_grad():
            model.lm_head.weight.mul_(self.taken)
        return model


def test_a_merge_that_answers_alike_passes(tmp_path):
    run = tiny_run(tmp_path, [Scaled(2.0).bind("scaled")])
    before = logits(run.model)
    run.model.train()
    merged = run.merge(run.model)
    torch.testing.assert_close(logits(merged), before)
    assert merged.training
    assert any("merged and unmerged differ" in line for line in run.progress.lines)


@pytest.mark.parametrize("taken", [1.9, float("nan")])
def test_one_that_answers_otherwise_is_refused(tmp_path, taken):
    run = tiny_run(tmp_path, [Scaled(taken).bind("scaled")])
    with pytest.raises(RunError, match=r"merging moves log-probabilities by .*, and 0\.01"):
        run.merge(run.model)


def test_the_caller_may_allow_more(tmp_path):
    run = tiny_run(tmp_path, [Scaled(1.9).bind("scaled")])
    run.merge(run.model, tolerance=100.0)


def test_weights_of_16_bits_are_allowed_what_rounding_moves(tmp_path):
    run = tiny_run(tmp_path, [Scaled(2.003).bind("scaled")])
    run.merge(run.model.bfloat16())
