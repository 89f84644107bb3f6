import pydantic
import pytest
import torch
from harness import tiny_run

from ft_adapter_full import adapter
from ft_optimizer_sgd import optimizer as sgd
from ft_trainer_sft import trainer


@pytest.mark.parametrize("nesterov", [False, True])
def test_two_steps_are_those_of_the_formula(tmp_path, nesterov):
    options = {"learning_rate": 0.1, "momentum": 0.5, "nesterov": nesterov}
    run = tiny_run(tmp_path, [adapter.bind("full"), sgd.bind("sgd", options), trainer.bind("sft")])
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    parameter = next(p for _, p in run.trainable())
    at, velocity = parameter.detach().clone(), torch.zeros_like(parameter)
    for number in range(2):
        parameter.grad = torch.full_like(parameter, number + 1.0)
        velocity = 0.5 * velocity + parameter.grad
        at -= 0.1 * (parameter.grad + 0.5 * velocity if nesterov else velocity)
        optimizer.step()
    torch.testing.assert_close(parameter.detach(), at)


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(pydantic.ValidationError, match="momentum is 0"):
        sgd.bind("sgd", {"nesterov": True})
