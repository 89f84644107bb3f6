"""Model families: what a step computes does not depend on how it is taken."""

from __future__ import annotations

from typing import Any

from ft.api import InputError, Run
from ft.conformance.bench import (
    assert_refuses,
    assert_resumes,
    changed,
    gradients,
    refusal,
    some,
    tiny_run,
    train,
    weights,
)
from ft.conformance.check import Skip, check
from ft.conformance.models import (
    assert_same_gradients,
    rows_of,
    run_and_kill,
    without_dropout,
)
from ft.conformance.subject import Subject

LENGTHS = (9, 40, 14)
"""Lengths of rows: the longest beyond the attention window that some small models have."""


@check("model")
def loss_falls(subject: Subject) -> None:
    """The loss falls.

    Why: a family whose forward pass ignores its input, or whose weights receive no gradient,
    loads and runs and learns nothing.

    Passes: eight optimizer steps on eight random rows, all weights training, end with a finite
    loss at least a tenth below the first.

    Fails: a forward pass under ``torch.no_grad()``; logits that are one position off.

    Example: ``the loss went from 6.31 to 6.30 in 8 steps``.
    """
    losses = train(tiny_run(subject))
    assert losses[-1] < 0.9 * losses[0], (
        f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} steps"
    )


def _refuses_packing(subject: Subject) -> None:
    assert_refuses(subject, "packing")


@check("model", needs="packing", refuses=_refuses_packing)
def packing(subject: Subject) -> None:
    """Packed rows give the loss and the gradients that the rows give one by one.

    Why: packing fills a sequence with several documents, which must not see each other: no
    attention across them, positions that begin again. Where they do see each other, training
    goes on and the loss even falls; the model just learns to look where nothing will be.

    Passes: three documents in one sequence, and the same in two, give the loss and each
    gradient of the three apart. A family that does not accept ``packing`` is refused a packed
    run by ``ft check``.

    Fails: an attention mask that is causal only; ``position_ids`` that the forward pass drops;
    a convolution or a state that runs on across documents.

    Example: ``packed against apart: the loss is 6.12 and 6.48``.
    """
    run = without_dropout(tiny_run(subject))
    rows = rows_of(run, LENGTHS)
    apart = gradients(run, [[row] for row in rows])
    for packs in ([[list(rows)]], [[list(rows[:2]), list(rows[2:])]]):
        assert_same_gradients(gradients(run, packs), apart, "packed against apart")


@check("model")
def micro_batches(subject: Subject) -> None:
    """A batch taken whole gives the step that it gives as micro batches.

    Why: ``micro_batch_size`` is there for memory alone. It must not change what is learned.

    Passes: the loss and each gradient of four rows with different numbers of trained tokens
    are the same in one batch, in two of two, and in one and three.

    Fails: a term of the loss that is summed over the batch where ``ft_extra_loss`` wants a
    mean; a forward pass that scales by the number of rows; statistics over the batch.

    Example: ``4 rows whole against 2 + 2: the gradients of norm.weight lie up to 0.0312
    apart, and the largest is 0.0625``.
    """
    run = without_dropout(tiny_run(subject))
    rows = rows_of(run, [12] * 4, trained=[9, 2, 5, 1])
    whole = gradients(run, [rows])
    for cut in (2, 1):
        parts = gradients(run, [rows[:cut], rows[cut:]])
        assert_same_gradients(parts, whole, f"4 rows as {cut} + {4 - cut} against whole")


@check("model")
def padding(subject: Subject) -> None:
    """Padding changes nothing.

    Why: rows of a batch are filled up on the right to the longest. What a row gives must not
    depend on which others happen to lie beside it.

    Passes: each token of three rows of different lengths has the loss in a batch of all three
    that it has alone.

    Fails: attention that reaches the padding; positions or scales that count from the padded
    length; a norm over the length of the sequence.

    Example: ``a row of 9 tokens, padded to 40: its losses lie up to 0.212 apart``.
    """
    import torch

    run = without_dropout(tiny_run(subject))
    run.model.train()
    rows = rows_of(run, LENGTHS)
    with torch.no_grad():
        together = run.token_losses(run.model, run.collate(rows))
        for number, row in enumerate(rows):
            alone = run.token_losses(run.model, run.collate([row])).losses
            found = together.losses[together.documents == number]
            apart = float((found - alone).abs().max())
            assert apart <= 1e-3, (
                f"a row of {len(row)} tokens, padded to {max(LENGTHS)}: its losses lie up to "
                f"{apart:.3g} apart"
            )


@check("model")
def gradient_checkpointing(subject: Subject) -> None:
    """Recomputing activations saves them, and changes nothing.

    Why: ``gradient_checkpointing`` runs each layer a second time in the backward pass. What
    differs then (an argument that is not handed on, a random number, a counter) makes wrong
    gradients without an error.

    Passes: with the same seed, a step with recomputed activations gives the loss and the
    gradients of one without, dropout included, and really runs modules again. A model with
    ``supports_gradient_checkpointing = False`` refuses with an ``InputError``.

    Fails: a layer that gets no mask or no positions in the branch with checkpointing; random
    numbers from a generator of its own; a switch that nothing reads.

    Example: ``with recomputed activations: the loss is 6.31 and 6.48``.
    """
    import torch

    from ft.training.recompute import checkpoint_activations

    run = tiny_run(subject)
    model: Any = run.model
    if not getattr(model, "supports_gradient_checkpointing", False):
        with refusal("recomputed activations (supports_gradient_checkpointing is False)"):
            checkpoint_activations(model)
        return
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1

    for module in model.modules():
        module.register_forward_hook(count)
    rows = rows_of(run, LENGTHS)
    steps, called = [], []
    for recomputed in (False, True):
        if recomputed:
            checkpoint_activations(model)
        calls[0] = 0
        torch.manual_seed(3)
        steps.append(gradients(run, [rows]))
        called.append(calls[0])
    assert called[1] > called[0], (
        f"nothing is recomputed: a step runs {called[0]} modules with gradient checkpointing and "
        "as many without"
    )
    assert_same_gradients(steps[1], steps[0], "with recomputed activations")


@check("model")
def resumes(subject: Subject) -> None:
    """A killed run resumes to the weights of one that was never killed.

    Why: machines are taken away in the middle of a run. A checkpoint holds what trains, the
    optimizer and the random generators; what a family keeps beside that (a counter, a
    balancing bias, a buffer that moves) it has to hand over in ``ft_plugin_state``.

    Passes: a process that trains is killed (SIGKILL) two steps after a checkpoint; the run
    goes on from there, and each later loss and all weights are those of a run that was never
    stopped, bit for bit.

    Fails: a coefficient that anneals with a count of steps in the family; buffers that training
    moves and no checkpoint has.

    Example: ``after resuming at step 3 the losses are [5.1, 4.9], and without a stop [5.1,
    4.7]``.
    """
    import os

    import torch

    from ft.training.checkpoint import checkpoints

    options = {"steps": 6, "save_every": 3, "keep_checkpoints": 9}

    def make(folder: str, **parts: Any) -> Run:
        return tiny_run(subject, folder=folder, trainer=options, **parts)

    if not hasattr(os, "fork") or torch.cuda.is_initialized():
        assert_resumes(make, 3)  # a driver that is in use does not outlive a fork
        return
    run_and_kill(lambda tracker: train(make("killed", tracker=tracker)), step=5)
    whole = make("whole")
    expected = train(whole)
    resumed = make("killed")
    saved = checkpoints(resumed.folder)
    assert saved, "the killed run left no checkpoint, and had saved one two steps before"
    losses = train(resumed, saved[-1])
    assert losses == expected, (
        f"after a kill at step 5 and a resumption from {saved[-1].name} the losses are "
        f"{losses[3:]}, and without a stop {expected[3:]}"
    )
    differing = changed(resumed, weights(whole))
    assert not differing, f"after a kill at step 5 other weights came out: {some(differing)}"


@check("model")
def router_loss(subject: Subject) -> None:
    """The router's loss is added where there is one, and refused where there is none.

    Why: ``model.router_loss: true`` keeps a mixture of experts balanced. Where it is passed
    over in silence the experts collapse; where a dense model takes it the user believes in
    something that is not there.

    Passes: with ``router_aux_loss_coef`` in the configuration and experts in the model, asking
    adds a finite term above zero to the loss of a step, and gives a gradient other than without;
    otherwise asking is refused with an ``InputError``.

    Fails: routers whose logits never reach the output; a model class that takes
    ``output_router_logits`` and returns no ``aux_loss``.

    Example: ``router_loss is on, and the loss of a step has no further term``.
    """
    asked = subject.bind(router_loss=True)
    run = tiny_run(subject)
    if not hasattr(run.config.get_text_config(), "router_aux_loss_coef"):
        with refusal("the loss of a router, which the configuration has no coefficient for"):
            tiny_run(subject, folder="refused", model=asked)
        return
    # a configuration class that dense models share has the coefficient for the others
    dense = not any("expert" in name for name, _ in run.model.named_parameters())
    if dense and _refuses(subject, asked):
        return
    runs = {
        word: tiny_run(subject, folder=word, model=model, trainer={"steps": 1, "batch_size": 8})
        for word, model in (("asked", asked), ("not-asked", subject.bind()))
    }
    rows = rows_of(runs["asked"], LENGTHS)
    on, off = (gradients(run, [rows])[1] for run in runs.values())
    for run in runs.values():
        train(run)
    first, plain = (run.state.history[0] for run in runs.values())
    term = first.get("extra_loss", 0.0)
    assert term > 0, "router_loss is on, and the loss of a step has no further term"
    assert "extra_loss" not in plain, "router_loss is off, and the loss has a further term"
    apart = abs(first["loss"] - plain["loss"] - term)
    assert apart <= 1e-4 * first["loss"], (
        f"router_loss adds {term:.4g}, and the loss is {first['loss']:.4g} where it was "
        f"{plain['loss']:.4g}"
    )
    moved = [name for name, gradient in on.items() if not gradient.equal(off[name])]
    assert moved, "router_loss is on, and no gradient is another for it"


def _refuses(subject: Subject, model: Any) -> bool:
    try:
        tiny_run(subject, folder="refused", model=model)
    except InputError:
        return True
    return False


@check("model")
def generates(subject: Subject) -> None:
    """Generating with a cache, and in a batch, gives what a plain forward pass gives.

    Why: training never uses the cache, nor padding on the left; chatting, evaluating and
    online training do. A cache that is off by one, or a mask that is not read, only shows in
    what the model says.

    Passes: the logits of four generated tokens, with the cache, are those of a forward pass
    over the whole without one; and those of each prompt in a batch padded on the left are the
    same again. A model without ``generate`` is not looked at.

    Fails: positions that begin again at each step; keys that are stored before they are
    turned; an ``attention_mask`` that is dropped.

    Example: ``a prompt of 6 tokens, padded to 15: the logits lie up to 3.1 apart``.
    """
    import torch

    run = tiny_run(subject)
    model: Any = run.model.eval()
    if not hasattr(model, "generate"):
        raise Skip("its models do not generate")
    prompts = [torch.tensor(row.input_ids) for row in rows_of(run, (6, 15))]
    length = max(map(len, prompts))
    left = torch.full((len(prompts), length), run.pad_id)
    mask = torch.zeros_like(left)
    for number, ids in enumerate(prompts):
        left[number, -len(ids) :], mask[number, -len(ids) :] = ids, 1

    def written(ids: Any, mask: Any) -> tuple[Any, Any]:
        found = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            pad_token_id=run.pad_id,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return found.sequences, torch.stack(found.logits, 1)

    _, batched = written(left, mask)
    for number, ids in enumerate(prompts):
        sequence, cached = written(ids[None], torch.ones_like(ids)[None])
        with torch.no_grad():
            plain = model(input_ids=sequence[:, :-1], use_cache=False).logits[:, -4:]
        for what, found in (
            ("with a cache", cached[0]),
            (f"padded to {length}", batched[number]),
        ):
            apart = float((found - plain[0]).abs().max())
            assert apart <= 1e-3 * float(plain.abs().max()), (
                f"a prompt of {len(ids)} tokens, {what}: the logits lie up to {apart:.3g} apart "
                "from those of a plain forward pass"
            )
