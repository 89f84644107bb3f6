import copy
import math
from dataclasses import replace

import pytest
import torch
from harness import assert_resumes, random_rows, tiny_run, train
from pydantic import ValidationError
from tiny import write_tiny

from ft.api import Conversation, InputError, Message
from ft_adapter_full import adapter as full
from ft_model_smollm2 import family, template
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

TURNS = [
    Message("user", "Who are you?"),
    Message("assistant", "A model."),
    Message("user", "What is one and two?"),
    Message("assistant", "Three.", weight=2.0),
]


def sft_run(folder, **options):
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [
        full.bind("full"),
        template.bind("smollm2"),
        adamw.bind("adamw", {"learning_rate": 3e-3}),
        sft.bind("sft", {"steps": 20, "precision": "float32", **options}),
    ]
    return tiny_run(folder, plugins, family=family, rows=encoded)


def encoded(run):
    rows = run.hook.ft_encode(run=run, examples=[Conversation(TURNS)])
    return type("Rows", (list,), {"lengths": property(lambda self: [len(r) for r in self])})(rows)


def trained_text(run):
    row = run.data[0]
    ids = [id for id, weight in zip(row.input_ids, row.weights, strict=True) if weight]
    return run.tokenizer.decode(ids)


@pytest.mark.parametrize(
    ("train_on", "text"),
    [
        ("assistant", "A model.<|im_end|>Three.<|im_end|>"),
        ("last", "Three.<|im_end|>"),
    ],
)
def test_what_is_trained_on(tmp_path, train_on, text):
    assert trained_text(sft_run(tmp_path, train_on=train_on)) == text


def test_all_takes_the_prompt_in(tmp_path):
    run = sft_run(tmp_path, train_on="all")
    assert trained_text(run) == run.tokenizer.decode(run.data[0].input_ids)


def test_what_a_message_says_of_itself_comes_first(tmp_path):
    unsaid, said = TURNS[1], replace(TURNS[1], train=True)
    examples = [Conversation([TURNS[0], m, *TURNS[2:]]) for m in (unsaid, said)]
    run = sft_run(tmp_path, train_on="last")
    counts = [sum(map(bool, r.weights)) for r in run.hook.ft_encode(run=run, examples=examples)]
    assert counts[0] < counts[1]
    untrained = Conversation([TURNS[0], replace(TURNS[1], train=False), *TURNS[2:]])
    (tmp_path / "all").mkdir()
    run = sft_run(tmp_path / "all", train_on="all")
    (row,) = run.hook.ft_encode(run=run, examples=[untrained])
    left_out = [i for i, w in zip(row.input_ids, row.weights, strict=True) if not w]
    assert run.tokenizer.decode(left_out) == "A model.<|im_end|>"


@pytest.mark.parametrize(
    ("train_on", "said"),
    [
        ("assistant", {"train": True}),
        ("last", {"train": True}),
        ("all", {"train": False}),
        ("all", {"weight": 0.5}),
    ],
)
def test_what_a_turn_of_the_user_asks_for_is_not_passed_over(tmp_path, train_on, said):
    run = sft_run(tmp_path, train_on=train_on)
    example = Conversation([replace(TURNS[0], **said), *TURNS[1:]])
    with pytest.raises(InputError, match="message 1, of role user"):
        run.hook.ft_encode(run=run, examples=[example])
    # what says no more than train_on does is no mistake
    example = Conversation([replace(TURNS[0], train=train_on == "all"), *TURNS[1:]])
    (row,) = run.hook.ft_encode(run=run, examples=[example])
    (plain,) = run.hook.ft_encode(run=run, examples=[Conversation(TURNS)])
    assert list(row.weights) == list(plain.weights)


def test_an_evaluation_has_the_plain_loss(tmp_path):
    run = sft_run(tmp_path, label_smoothing=0.5)
    batch = run.collate(run.data)
    losses = {}
    for training in (True, False):
        run.model.train(training)
        losses[training] = float(
            run.hook.ft_compute_loss(run=run, model=run.model, batch=batch).total
        )
    plain = run.token_losses(run.model, batch)
    smoothed = run.token_losses(run.model, batch, 0.5)
    assert losses[False] == float((plain.losses * plain.weights).sum())
    assert losses[True] == float((smoothed.losses * smoothed.weights).sum()) != losses[False]


def embedded(run, batch):
    """What leaves the embeddings in a forward pass, and what the matrix holds."""
    seen = []
    layer = run.model.get_input_embeddings()
    hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    run.forward(run.model, batch)
    hook.remove()
    return seen[0], layer.weight.detach()[batch["input_ids"]]


def test_noise_is_as_large_as_the_paper_has_it(tmp_path):
    run = sft_run(tmp_path, neftune=5.0)
    run.model.train()
    batch = run.collate(random_rows(6, length=20))
    noisy, plain = embedded(run, batch)
    mask = batch["attention_mask"].bool()
    noise = noisy - plain
    assert (~mask).any()
    assert noise[~mask].eq(0).all()
    for row, length in zip(noise, mask.sum(-1).tolist(), strict=True):
        bound = 5.0 / (length * noise.shape[-1]) ** 0.5
        own = row[:length]
        assert 0.98 * bound < float(own.abs().max()) <= bound * (1 + 1e-5)
        # uniform: its root mean square is the bound over the root of 3
        assert abs(float(own.square().mean().sqrt()) / (bound / 3**0.5) - 1) < 0.05
    again, _ = embedded(run, batch)
    assert not again.equal(noisy)


def test_noise_of_a_packed_document_is_that_of_one_by_itself(tmp_path):
    run = sft_run(tmp_path, neftune=5.0)
    run.model.train()
    rows = random_rows(4, length=30)
    noisy, plain = embedded(run, run.collate([rows[:3], rows[3:]]))
    noise = noisy - plain
    pieces = []
    for row, documents in enumerate((rows[:3], rows[3:])):
        end = 0
        for document in documents:
            start, end = end, end + len(document)
            pieces.append((noise[row, start:end], len(document)))
        assert noise[row, end:].eq(0).all()
    for own, length in pieces:
        bound = 5.0 / (length * noise.shape[-1]) ** 0.5
        assert 0.98 * bound < float(own.abs().max()) <= bound * (1 + 1e-5)


def test_there_is_no_noise_in_evaluation_and_generation(tmp_path):
    run = sft_run(tmp_path, neftune=5.0)
    batch = run.collate(random_rows(2))
    run.model.eval()
    noisy, plain = embedded(run, batch)
    assert noisy.equal(plain)
    run.model.train()
    # a forward pass of somebody else's, such as generation's
    layer = run.model.get_input_embeddings()
    assert layer(batch["input_ids"]).equal(layer.weight[batch["input_ids"]])


def test_a_run_with_noise_resumes_to_the_same_weights(tmp_path):
    def made():
        options = {"neftune": 5.0, "steps": 4, "save_every": 2, "keep_checkpoints": 5}
        run = sft_run(tmp_path, **options)
        run.data = random_rows(4)
        return run

    assert_resumes(made, 2)


def test_noise_changes_what_is_learned(tmp_path):
    plain, noisy = (train(sft_run(tmp_path, neftune=alpha, steps=3)) for alpha in (None, 50.0))
    assert plain[1] != noisy[1]


# -- losses that weigh tokens ----------------------------------------------------------------


def predictions(model, row):
    """Log-probabilities before each trained token of a row, and the tokens."""
    ids = torch.tensor([list(row.input_ids)])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, :-1]
    trained = torch.tensor(list(row.weights))[1:] > 0
    return logits[trained].log_softmax(-1), ids[0, 1:][trained]


def own_loss(run, rows):
    run.model.train()
    loss = run.hook.ft_compute_loss(run=run, model=run.model, batch=run.collate(rows))
    return float(loss.total.detach())


@pytest.mark.parametrize("loss", ["dft", "eaft", "asft"])
def test_a_weighted_loss_is_its_papers(tmp_path, loss):
    own = {"dft": {}, "eaft": {"entropy_power": 2.0}, "asft": {"anchor": 0.3}}[loss]
    run = sft_run(tmp_path, loss=loss, steps=3, **own)
    before = copy.deepcopy(run.model)
    rows = random_rows(3)
    run.data = rows
    train(run)  # away from the reference
    expected = 0.0
    for row in rows:
        found, tokens = predictions(run.model, row)
        likely = found.gather(1, tokens[:, None])[:, 0]
        if loss == "eaft":
            top = found.exp().topk(20).values
            top = top / top.sum(-1, keepdim=True)
            entropy = -(top * top.log()).sum(-1) / math.log(20)
            expected += float((-likely * entropy**2).sum())
            continue
        expected += float((-likely * likely.exp()).sum())
        if loss == "asft":
            wanted, _ = predictions(before, row)
            expected += 0.3 * float((wanted.exp() * (wanted - found)).sum())
    assert own_loss(run, rows) == pytest.approx(expected, rel=1e-4)
    # packed, and measured: as it should be
    assert own_loss(run, [list(rows)]) == pytest.approx(expected, rel=1e-4)
    run.model.eval()
    batch = run.collate(rows)
    plain = run.token_losses(run.model, batch)
    measured = run.hook.ft_compute_loss(run=run, model=run.model, batch=batch).total
    assert float(measured.detach()) == float((plain.losses * plain.weights).sum().detach())


def test_the_gradient_does_not_go_through_a_weight(tmp_path):
    run = sft_run(tmp_path, loss="dft")
    run.model.train()
    batch = run.collate(random_rows(2))
    run.hook.ft_compute_loss(run=run, model=run.model, batch=batch).total.backward()
    found = {name: p.grad.clone() for name, p in run.model.named_parameters()}
    run.model.zero_grad()
    tokens = run.token_losses(run.model, batch)
    (tokens.losses * torch.exp(-tokens.losses.detach())).sum().backward()
    for name, parameter in run.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"anchor": 0.1}, "anchor is of loss asft"),
        ({"loss": "dft", "entropy_power": 2.0}, "entropy_power is of loss eaft"),
        ({"loss": "eaft", "label_smoothing": 0.1}, "has no meaning for loss eaft"),
    ],
)
def test_an_option_of_another_loss_is_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        sft.bind("sft", options)


def test_a_loss_of_whole_predictions_takes_no_fused_kernel():
    assert "loss-kernel" not in sft.bind("sft", {"loss": "asft"}).capabilities().accepts
    assert "loss-kernel" in sft.bind("sft", {"loss": "dft"}).capabilities().accepts
