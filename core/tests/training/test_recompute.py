import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ft.training.recompute import checkpoint_activations


def test_the_backward_pass_ends_at_the_first_layer_that_trains():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "vocab_size": 32, "num_hidden_layers": 3}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).train()
    model.requires_grad_(False)
    model.model.layers[-1].requires_grad_(True)
    assert checkpoint_activations(model) == 3
    calls = [0, 0, 0]
    for number, layer in enumerate(model.model.layers):

        def count(*_, number=number):
            calls[number] += 1

        layer.mlp.register_forward_pre_hook(count)
    ids = torch.arange(8)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    assert calls == [1, 1, 2]
    assert model.model.layers[-1].mlp.up_proj.weight.grad is not None
