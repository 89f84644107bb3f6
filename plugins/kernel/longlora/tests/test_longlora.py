"""Shifted sparse attention against the paper's algorithm, written out token by token."""

from __future__ import annotations

import pytest
import torch
from harness import random_rows, save, tiny_run, train

from ft.api import Kernel
from ft.conformance.around import end
from ft_adapter_lora import adapter as lora
from ft_kernel_longlora import NAME
from ft_kernel_longlora import kernel as longlora
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


class Layer(torch.nn.Module):
    """Stands where an attention layer of a model is: all that attention functions ask for."""

    is_causal = True
    num_key_value_groups = 1


def written_out(query, key, value, group, scaling, real):
    """Section 3.2: heads in two halves, tokens in groups, the second half shifted by half.

    One query at a time; ``real`` are the lengths of the rows without padding.
    """
    rows, heads, _, _ = query.shape
    out = torch.zeros_like(query)
    for row in range(rows):
        for head in range(heads):
            shift = 0 if head < heads // 2 else group // 2
            for at in range(real[row]):
                number = (at + shift) // group
                begin = max(0, number * group - shift)
                seen = range(begin, at + 1)
                scores = torch.stack([query[row, head, at] @ key[row, head, k] for k in seen])
                shares = torch.softmax(scores * scaling, 0)
                out[row, head, at] = sum(
                    s * value[row, head, k] for s, k in zip(shares, seen, strict=True)
                )
    return out


def tensors(rows, heads, length, width=8):
    generator = torch.Generator().manual_seed(length)
    return [
        torch.randn(rows, heads, length, width, generator=generator, requires_grad=True)
        for _ in range(3)
    ]


def padding_mask(lengths, longest):
    seen = torch.ones(longest, longest, dtype=torch.bool).tril()
    real = torch.tensor([[k < n for k in range(longest)] for n in lengths])
    return seen & real[:, None, None, :]


@pytest.mark.parametrize("length", [3, 8, 12, 16, 21])
@pytest.mark.parametrize("heads", [2, 4])
def test_it_is_the_papers_attention(length, heads):
    bound = longlora.bind("longlora", {"group_size": 8})
    inputs = tensors(2, heads, length)
    out, _ = bound.attend(Layer(), *inputs, None, scaling=0.3)
    wanted = written_out(*inputs, 8, 0.3, [length] * 2)
    torch.testing.assert_close(out.transpose(1, 2), wanted)
    stated = bound.reference_attention(*inputs, padding_mask([length] * 2, length), 0.3)
    torch.testing.assert_close(stated, wanted)
    found = torch.autograd.grad(out.square().sum(), inputs, retain_graph=True)
    expected = torch.autograd.grad(wanted.square().sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_padding_is_not_seen():
    bound = longlora.bind("longlora", {"group_size": 8})
    inputs = tensors(3, 4, 21)
    lengths = [21, 5, 13]
    out, _ = bound.attend(Layer(), *inputs, padding_mask(lengths, 21), scaling=0.3)
    wanted = written_out(*inputs, 8, 0.3, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(out[row, :length], wanted[row, :, :length].transpose(0, 1))
    assert out.isfinite().all()


def test_shared_keys_belong_to_their_queries():
    bound = longlora.bind("longlora", {"group_size": 4})
    query, _, _ = tensors(1, 4, 12)
    _, key, value = tensors(1, 2, 12)
    out, _ = bound.attend(Layer(), query, key, value, None, scaling=0.3)
    shared = [tensor.repeat_interleave(2, 1) for tensor in (key, value)]
    wanted = written_out(query, *shared, 4, 0.3, [12])
    torch.testing.assert_close(out.transpose(1, 2), wanted)


def long_run(folder, trainer=None, **options):
    plugins = [
        longlora.bind("longlora", options),
        lora.bind("lora", {"rank": 4}),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": 5, "precision": "float32", "batch_size": 4, **(trainer or {})}),
    ]
    return tiny_run(folder, plugins, rows=random_rows(4, length=24))


def test_the_group_is_a_part_of_the_longest_sequence(tmp_path):
    run = long_run(tmp_path, trainer={"max_length": 256})
    (bound,) = run.parts("kernel")
    assert bound.group == 64
    end(run)
    (bound,) = long_run(tmp_path, trainer={"max_length": 256}, group_size=6).parts("kernel")
    assert bound.group == 6


def test_it_trains_with_it_and_evaluates_without(tmp_path):
    from transformers import AttentionInterface

    run = long_run(tmp_path, group_size=8)
    ids = torch.arange(3, 35)[None]
    plain = tiny_run(tmp_path, [lora.bind("lora", {"rank": 4})])
    with torch.no_grad():
        whole = plain.model.eval()(ids).logits
        torch.testing.assert_close(run.model.eval()(ids).logits, whole)
        assert not torch.allclose(run.model.train()(ids).logits, whole, atol=1e-3)
    losses = train(run)
    assert losses[-1] < losses[0]
    save(run)
    assert NAME in AttentionInterface._global_mapping
    end(run)
    assert NAME not in AttentionInterface._global_mapping


def test_it_is_approximate_and_not_for_packs():
    said = longlora.bind("longlora").capabilities()
    assert {"approximate-attention", "attention-kernel"} <= said.provides
    assert Kernel.accepts - said.accepts == {"packing"}
