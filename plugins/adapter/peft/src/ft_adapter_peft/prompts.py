"""What methods share that learn tokens in front of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ft.api import Field
from ft_adapter_peft.base import PeftAdapter
from ft_adapter_peft.options import SavedOptions


class PromptAdapter(PeftAdapter):
    """Virtual tokens: they stand before a sequence, so there is nothing to merge into a weight.

    Nor can several documents share a sequence: the second would be far from the tokens.
    """

    needs = frozenset()
    accepts = PeftAdapter.accepts - {"packing"}
    provides = PeftAdapter.provides - {"mergeable"} | {"virtual-tokens"}

    class Options(SavedOptions):
        tokens: int = Field(20, gt=0, description="learned tokens in front of each sequence")

        saved_as: ClassVar[Mapping[str, str]] = {"tokens": "num_virtual_tokens"}

    def starts_at_base(self) -> bool:
        return False  # tokens in front are attended to, whatever they hold
