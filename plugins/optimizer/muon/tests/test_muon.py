import torch
from harness import tiny_run

from ft_adapter_full import adapter
from ft_optimizer_muon import optimizer as muon
from ft_optimizer_muon import update
from ft_optimizer_muon.update import MuonAndAdamW, orthogonal
from ft_trainer_sft import trainer

SETTINGS = {
    "orthogonal": False,
    "momentum": 0.95,
    "nesterov": True,
    "iterations": 5,
    "betas": (0.9, 0.999),
    "epsilon": 1e-8,
}


def pair(shape):
    torch.manual_seed(0)
    value = torch.randn(shape)
    return [torch.nn.Parameter(value.clone()) for _ in range(2)]


def stepped(optimizers, weights):
    torch.manual_seed(1)
    for _ in range(3):
        gradient = torch.randn_like(weights[0])
        for optimizer, weight in zip(optimizers, weights, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    return [weight.detach() for weight in weights]


def test_matrices_move_as_with_torchs_muon(monkeypatch):
    # as on an accelerator, and as torch does it everywhere
    monkeypatch.setattr(update, "working_type", lambda device: torch.bfloat16)
    for shape in ((12, 20), (20, 12)):
        weights = pair(shape)
        group = {"params": weights[:1], "orthogonal": True, "weight_decay": 0.1}
        ours = MuonAndAdamW([group], lr=0.01, **SETTINGS)
        theirs = torch.optim.Muon(
            weights[1:], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        )
        torch.testing.assert_close(*stepped([ours, theirs], weights), rtol=0, atol=1e-6)


def test_the_rest_moves_as_with_adamw():
    weights = pair((7,))
    ours = MuonAndAdamW([{"params": weights[:1]}], lr=0.01, **SETTINGS)
    theirs = torch.optim.AdamW(weights[1:], lr=0.01, weight_decay=0)
    torch.testing.assert_close(*stepped([ours, theirs], weights), rtol=0, atol=1e-6)


def test_a_stack_of_experts_is_made_orthogonal_one_by_one():
    torch.manual_seed(0)
    experts = torch.randn(3, 8, 6)
    for number, found in enumerate(orthogonal(experts, 5)):
        torch.testing.assert_close(found, orthogonal(experts[number], 5))
        values = torch.linalg.svdvals(found.float())
        assert 0.5 < values.min() < values.max() < 1.5


def test_embedding_and_output_layer_are_adamws(tmp_path):
    run = tiny_run(tmp_path, [adapter.bind("full"), muon.bind("muon"), trainer.bind("sft")])
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    names = {id(parameter): name for name, parameter in run.trainable()}
    chosen = {
        names[id(p)]
        for group in optimizer.param_groups
        for p in group["params"]
        if group["orthogonal"]
    }
    assert chosen
    assert all("_proj" in name for name in chosen)
    assert {n for n, p in run.trainable() if p.ndim > 1} - chosen == {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }
