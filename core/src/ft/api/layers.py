"""The decoder layers of a model, for methods that train, add or change some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from ft.api.run import Run


def decoder_layers(run: Run, model: Any) -> tuple[str, nn.ModuleList]:
    """The list of decoder layers and its name in the model.

    It is the list of ``num_hidden_layers`` modules of one class; of a model in parts the one in
    ``language``. Every family that provides ``decoder-layers`` has it.
    """
    from torch import nn

    count = model.config.get_text_config().num_hidden_layers
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == count
        and len({type(layer) for layer in module}) <= 1
    ]
    if not found:
        raise InputError(f"this model has no list of {count} decoder layers of one class")
    # the text-only model of a family that also sees may have no such part
    language = [one for one in found if run.family.group_of(one[0]) == "language"]
    return (language or found)[0]
