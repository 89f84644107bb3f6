import torch
from harness import tiny_run

from ft_adapter_full import adapter
from ft_optimizer_adam_mini import optimizer as adam_mini
from ft_optimizer_adam_mini.update import BlockwiseAdam
from ft_trainer_sft import trainer


def adam(gradients, blocks, shape, lr=0.01, epsilon=1e-8):
    """The sum of steps on blocks of a flattened tensor, as the paper's algorithm has them."""
    moved = torch.zeros(shape)
    for block in blocks:
        mean, square = 0.0, 0.0
        for step, gradient in enumerate(gradients, 1):
            own = gradient.flatten()[block]
            mean = 0.9 * mean + 0.1 * own
            square = 0.999 * square + 0.001 * own.square().mean()
            root = (square / (1 - 0.999**step)) ** 0.5 + epsilon
            moved.view(-1)[block] -= lr * mean / (1 - 0.9**step) / root
    return moved


def test_each_block_has_one_second_moment():
    torch.manual_seed(0)
    shapes = {"heads": (6, 4), "rows": (3, 5), "vector": (7,)}
    blocks = {
        "heads": [slice(0, 12), slice(12, 24)],
        "rows": [slice(i, i + 5) for i in (0, 5, 10)],
        "vector": [slice(0, 7)],
    }
    weights = {name: torch.nn.Parameter(torch.zeros(shape)) for name, shape in shapes.items()}
    groups = [{"params": [w], "rows": 3 if name == "heads" else 1} for name, w in weights.items()]
    optimizer = BlockwiseAdam(groups, lr=0.01, betas=(0.9, 0.999), epsilon=1e-8)
    gradients = {name: [torch.randn(shape) for _ in range(3)] for name, shape in shapes.items()}
    for number in range(3):
        for name, weight in weights.items():
            weight.grad = gradients[name][number]
        optimizer.step()
    for name, weight in weights.items():
        wanted = adam(gradients[name], blocks[name], shapes[name])
        torch.testing.assert_close(weight.detach(), wanted, rtol=0, atol=1e-6)


def test_queries_and_keys_have_a_block_for_each_head(tmp_path):
    parts = [adapter.bind("full"), adam_mini.bind("adam-mini"), trainer.bind("sft")]
    run = tiny_run(tmp_path, parts)
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    rows = {id(p): group["rows"] for group in optimizer.param_groups for p in group["params"]}
    head = run.config.hidden_size // run.config.num_attention_heads
    assert head > 1
    for name, parameter in run.trainable():
        per_head = "q_proj" in name or "k_proj" in name
        assert rows[id(parameter)] == (head if per_head else 1), name
