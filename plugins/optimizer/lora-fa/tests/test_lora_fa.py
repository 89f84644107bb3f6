import pytest
import torch
from harness import tiny_run, train
from peft.optimizers import create_lorafa_optimizer
from torch.nn import functional

from ft.api import InputError
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_adapter_lora_fa import adapter as lora_fa_adapter
from ft_optimizer_lora_fa import optimizer as lora_fa
from ft_optimizer_lora_fa.update import Factor
from ft_trainer_sft import trainer


def run_of(folder, adapter):
    options = {"learning_rate": 1e-2, "weight_decay": 0.01}
    settings = {"steps": 6, "precision": "float32"}
    parts = [adapter, lora_fa.bind("lora-fa", options), trainer.bind("sft", settings)]
    return tiny_run(folder, parts)


def test_the_update_follows_the_projected_gradient():
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(*shape, generator=generator) for shape in ((6, 8), (3, 8), (5, 8), (5, 6))]
    weight, a, x, y = (tensor.double() for tensor in draw)
    a, scale = torch.nn.Parameter(a.float()), 0.5
    b = torch.zeros(6, 3, dtype=torch.double, requires_grad=True)
    weight.requires_grad_()
    made = functional.linear(x, weight + scale * b @ a.detach().double())
    functional.mse_loss(made, y).backward()
    rows = a.detach().double()
    projection = rows.T @ torch.linalg.inv(rows @ rows.T) @ rows
    moved = scale * Factor(a, scale).corrected(b.grad) @ rows
    torch.testing.assert_close(moved, weight.grad @ projection, rtol=1e-5, atol=1e-6)


def test_it_steps_as_that_of_peft(tmp_path):
    adapter = lora.bind("lora", {"rank": 4, "alpha": 4})
    ours, theirs = run_of(tmp_path, adapter), run_of(tmp_path, adapter)
    optimizers = [
        ours.hook.ft_build_optimizer(run=ours, model=ours.model),
        create_lorafa_optimizer(theirs.model, r=4, lora_alpha=4, lr=1e-2, weight_decay=0.01),
    ]
    ids = torch.arange(3, 40)[None]
    for run, optimizer in zip((ours, theirs), optimizers, strict=True):
        for _ in range(3):
            run.model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            run.model.zero_grad()
    b, expected = (
        torch.cat([p.flatten() for name, p in run.model.named_parameters() if "lora_B" in name])
        for run in (ours, theirs)
    )
    # theirs rounds to bfloat16, which turns the sign of some gradients near 0
    assert functional.cosine_similarity(b, expected, dim=0) > 0.999
    assert float((b - expected).detach().abs().median()) < 1e-4


@pytest.mark.parametrize("adapter", [lora, lora_fa_adapter])
def test_b_alone_trains(tmp_path, adapter):
    run = run_of(tmp_path, adapter.bind("lora", {"rank": 4}))
    before = {name: p.clone() for name, p in run.trainable()}
    losses = train(run)
    assert losses[-1] < losses[0]
    moved = {name for name, p in run.trainable() if not p.equal(before[name])}
    assert moved == {name for name in before if ".lora_B." in name}


def test_an_adapter_without_b_is_refused(tmp_path):
    run = run_of(tmp_path, full.bind("full"))
    with pytest.raises(InputError, match="trains no B"):
        run.hook.ft_build_optimizer(run=run, model=run.model)
