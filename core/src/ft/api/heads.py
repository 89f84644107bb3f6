"""Helpers for trainers of a head: a linear layer that stands in the place of the output layer.

It is one of the modules that train beside the model, and lies beside the result as
``<name>.safetensors`` with ``weight`` and perhaps ``bias``, which is where
:meth:`ft.api.Run.open_model` finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ft.api.run import Run
    from ft.api.trainer import Batch


def new_head(run: Run, model: Any, outputs: int) -> nn.Linear:
    """A fresh head in float32 that reads what the output layer would.

    For :func:`ft_add_modules` to return; the output layer is frozen.
    """
    import torch

    layer = freeze_output_layer(model)
    head = torch.nn.Linear(layer.weight.shape[-1], outputs, bias=False)
    std = getattr(run.config.get_text_config(), "initializer_range", None)
    torch.nn.init.normal_(head.weight, std=std or 0.02)
    return head


def freeze_output_layer(model: Any) -> Any:
    """Freeze the output layer, which a loss on hidden states does not reach; returns it.

    Not where its weights are those of the input embeddings at the same time.
    """
    layer = model.get_output_embeddings()
    if layer is None:
        raise InputError("this model has no output layer, in whose place a head could stand")
    if layer.weight is not model.get_input_embeddings().weight:
        layer.requires_grad_(False)
    return layer


def apply_head(head: nn.Module, states: Tensor) -> Tensor:
    """What a head makes of hidden states, in float32 whatever the precision of the model.

    In 16 bits scores that differ little would not differ at all.
    """
    import torch

    with torch.autocast(states.device.type, enabled=False):
        found: Tensor = head(states.float())
    return found


def last_states(run: Run, model: nn.Module, batch: Batch) -> Tensor:
    """The hidden state of each row's last token, of shape (rows, width).

    The last one that is not the padding token, as the classifiers of transformers have it: where
    that ends a turn at the same time, the token before.
    """
    import torch

    states = run.hidden_states(model, batch)
    real = (batch["input_ids"] != run.pad_id) & batch["attention_mask"].bool()
    rows, places = (torch.arange(size, device=states.device) for size in real.shape)
    return states[rows, (places * real).argmax(-1)]
