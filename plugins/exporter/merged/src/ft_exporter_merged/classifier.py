"""A model with a head in the place of its output layer, in the form of transformers."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from ft.api import InputError, Run

if TYPE_CHECKING:
    from torch import nn

HEAD = "score"


def with_head(run: Run, model: Any) -> nn.Module:
    """The model as a classifier, where a head lies beside the result; else the model itself.

    The head is ``score.safetensors``. ``score.json``, where there is one, names its classes under
    ``id2label``; with ``each: token`` it is for every token and not for the last.
    """
    import torch
    import transformers
    from safetensors.torch import load_file

    result = run.folder / "result"
    if not (result / f"{HEAD}.safetensors").is_file():
        return model
    tensors = load_file(result / f"{HEAD}.safetensors", device=str(run.device))
    config = copy.deepcopy(model.config)
    config.num_labels = len(tensors["weight"])
    about = {}
    if (result / f"{HEAD}.json").is_file():
        about = json.loads((result / f"{HEAD}.json").read_text(encoding="utf-8"))
        config.id2label = {int(id): name for id, name in about["id2label"].items()}
        config.label2id = {name: id for id, name in config.id2label.items()}
    config.pad_token_id = run.pad_id  # by which it finds the last token of a row
    form = "Token" if about.get("each") == "token" else "Sequence"
    try:
        with torch.device("meta"):
            made = getattr(transformers, f"AutoModelFor{form}Classification").from_config(config)
    except ValueError as error:
        raise InputError(
            f"transformers has no classifier for architecture {config.model_type}",
            hint=f"load the result with ft, and {HEAD}.safetensors from it",
        ) from error
    own, other = model.base_model_prefix, made.base_model_prefix
    if not isinstance(getattr(made, HEAD, None), torch.nn.Linear) or not hasattr(model, own):
        raise InputError(
            f"transformers' classifier for architecture {config.model_type} has another form than "
            "a linear head",
            hint=f"load the result with ft, and {HEAD}.safetensors from it",
        )
    setattr(made, other, getattr(model, own))
    biased = made.score.bias is not None
    if biased and "bias" not in tensors:
        tensors["bias"] = torch.zeros(config.num_labels)
    classes, width = tensors["weight"].shape
    made.score = torch.nn.Linear(width, classes, bias=biased)
    made.score.load_state_dict(tensors)
    return made.to(run.device, model.dtype)
