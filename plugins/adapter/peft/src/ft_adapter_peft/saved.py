"""A saved adapter, held against the base and the options that it is to go on with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import InputError

if TYPE_CHECKING:
    from torch import nn

    from ft.api import Run


BASE = "base.json"
"""The file that says how wide the base is."""


def require_adapter(folder: Path) -> None:
    if not (folder / "adapter_config.json").is_file():
        raise InputError("no PEFT adapter lies here", where=str(folder))


def ask_leave(run: Run, folder: Path) -> None:
    """Have the policy permit an adapter whose weights are a pickle."""
    if not any(folder.glob("*.safetensors")):
        run.permit("pickled-weights", "an adapter without safetensors", str(folder))


def note_width(model: Any, folder: Path) -> None:
    """Write down how wide the base is, where the adapter's own shapes do not say it."""
    found = {"width": model.get_input_embeddings().weight.shape[1]}
    (folder / BASE).write_text(json.dumps(found), encoding="utf-8")


def require_width(base: Any, folder: Path) -> None:
    """Raise :class:`InputError` where the base is not as wide as the one that was adapted.

    PEFT makes virtual tokens as wide as the saved configuration says, and fails in the first
    forward.
    """
    from peft import PeftConfig

    if (folder / BASE).is_file():
        saved = json.loads((folder / BASE).read_text(encoding="utf-8"))["width"]
    else:
        config = PeftConfig.from_pretrained(str(folder))
        saved = getattr(config, "token_dim", None)
        # keys and values, which a prefix consists of, may be narrower
        if saved is None or plain(config.peft_type) == "PREFIX_TUNING":
            return
    width = base.get_input_embeddings().weight.shape[1]
    if saved != width:
        raise InputError(
            f"this adapter was made for another base model (width: adapter [{saved}], "
            f"base [{width}])",
            where=str(folder),
            hint="its adapter_config.json says which base it belongs to",
        )


def named(model: nn.Module, target: str | Iterable[str]) -> set[str]:
    """The modules that PEFT's ``target_modules`` mean: an expression, or names and endings."""
    names = [name for name, _ in model.named_modules()]
    if isinstance(target, str):
        return {name for name in names if re.fullmatch(target, name)}
    endings = tuple(f".{one}" for one in target)
    return {name for name in names if f".{name}".endswith(endings)}


def plain(value: Any) -> Any:
    """A value of a configuration, so that unset is like empty and order plays no part."""
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, list | set | tuple) else value or None


def unplaced(model: Any, folder: Path) -> list[str]:
    """Weights that only the saved adapter has, or only the adapted model.

    PEFT passes over both, which leaves a model that is adapted in part or not at all.
    """
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    saved = load_peft_weights(str(folder), device="cpu").keys()
    # embeddings are saved where they were resized, which shows in their shapes
    own = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    return sorted(name for name in saved ^ own if "embed" not in name and "lm_head" not in name)
