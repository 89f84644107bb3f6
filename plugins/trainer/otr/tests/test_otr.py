import pytest
import torch

from ft_trainer_otr import trainer as otr

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0]], requires_grad=True)
TARGETS = torch.tensor([0, 1])


def losses(**options):
    return otr.bind("otr", options).losses(LOGITS, TARGETS)


def gradient(found):
    return torch.autograd.grad(found.sum(), LOGITS)[0]


def test_the_data_is_worth_1_and_the_rest_the_penalty():
    p, log_p = (LOGITS.detach() / 2).softmax(-1), LOGITS.log_softmax(-1)
    gain = torch.stack(
        [
            p[0, 0] * log_p[0, 0] - 0.5 * (p[0, 1] * log_p[0, 1] + p[0, 2] * log_p[0, 2]),
            p[1, 1] * log_p[1, 1] - 0.5 * (p[1, 0] * log_p[1, 0] + p[1, 2] * log_p[1, 2]),
        ]
    )
    found = losses(temperature=2.0, penalty=-0.5)
    own = p.gather(-1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(found.detach(), -(own - 0.5 * (1 - own)))
    torch.testing.assert_close(gradient(found), gradient(-gain))


def test_drawing_comes_to_the_same_in_the_mean():
    torch.manual_seed(0)
    drawn, all_of_them = losses(candidates=200_000), losses()
    torch.testing.assert_close(drawn, all_of_them, atol=0.01, rtol=0)
    torch.testing.assert_close(gradient(drawn), gradient(all_of_them), atol=0.01, rtol=0)


def test_without_a_penalty_unlikely_tokens_hardly_pull():
    """The gradient is that of cross-entropy, times the token's own probability."""
    found = gradient(losses(penalty=0.0, temperature=1.0))
    cross_entropy = torch.nn.functional.cross_entropy(LOGITS, TARGETS, reduction="sum")
    (wanted,) = torch.autograd.grad(cross_entropy, LOGITS)
    own = LOGITS.detach().softmax(-1).gather(-1, TARGETS[:, None])
    torch.testing.assert_close(found, wanted * own)


@pytest.mark.parametrize("options", [{"penalty": 0.5}, {"candidates": 0}])
def test_options_without_sense_are_refused(options):
    with pytest.raises(ValueError, match="validation error"):
        otr.bind("otr", options)
