"""Trainable tokens: rows of the embedding matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Field, InputError, Run
from ft_adapter_peft import PeftAdapter, SavedOptions, rows_of_tokens

if TYPE_CHECKING:
    from torch import nn


class TrainableTokens(PeftAdapter):
    """Trainable tokens: the embeddings of chosen tokens train, and nothing else.

    For new tokens (``model.new_tokens``, which are always among them), or for old ones that are
    to mean something else. Where the model has an output layer of its own, its rows train too.
    """

    method = "TRAINABLE_TOKENS"
    needs = frozenset()
    samples = ({"tokens": list(range(3, 250))},)

    class Options(SavedOptions):
        tokens: list[str | int] = Field(
            default_factory=list,
            description="tokens by text, as the tokenizer has it, or by id; new tokens go unsaid",
        )

        saved_as: ClassVar[Mapping[str, str]] = {"tokens": "token_indices"}

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        chosen = [self._id(run, token) for token in self.options.tokens]
        ids = sorted({*chosen, *run.new_tokens.values()})
        if not ids:
            raise InputError(
                "adapter trainable-tokens has no token to train",
                hint="name some as adapter.tokens, or add new ones as model.new_tokens",
            )
        return {"target_modules": list(rows_of_tokens(model, ids) or ()), "token_indices": ids}

    def _id(self, run: Run, token: str | int) -> int:
        if isinstance(token, str):
            ids = run.tokenizer.encode(token, add_special_tokens=False)
            if len(ids) != 1:
                raise InputError(
                    f"adapter.tokens: {token!r} is {len(ids)} tokens to this tokenizer",
                    hint="add it with model.new_tokens, or name the tokens that it consists of",
                )
            return ids[0]
        if not 0 <= token < len(run.tokenizer):
            raise InputError(
                f"adapter.tokens: the tokenizer has no token {token}, but {len(run.tokenizer)}"
            )
        return token


adapter = TrainableTokens()
