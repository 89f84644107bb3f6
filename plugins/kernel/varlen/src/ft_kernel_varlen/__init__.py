"""Attention over packed documents at their own lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Batch, Estimate, Field, Kernel, PluginOptions, hookimpl
from ft_kernel_varlen.attention import NAME, Documents, register, unregister
from ft_kernel_varlen.implementations import choose

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class Varlen(Kernel):
    """Packed documents are attended to one by one; no mask is built and none is read.

    A dense mask over a pack costs time and memory for every pair of tokens, most of which lie
    in different documents. Flash attention takes the documents' borders instead (Dao, 2023,
    arXiv:2307.08691). Rows that are not packed, evaluation of other shapes and generation go
    through torch's scaled dot product with a mask, and so does everything where no such kernel
    runs: on a CPU, in float32, on cards before compute capability 8.0.
    """

    provides = frozenset({"attention-kernel"})
    most = 0
    """The most documents in a batch so far."""

    class Options(PluginOptions):
        implementation: Literal["auto", "torch", "flash-attn-2", "flash-attn-3", "dense"] = Field(
            "auto",
            description="auto: flash-attn 3 or 2 where installed, else torch's own; dense: a mask "
            "of the documents",
        )

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        self.documents = Documents(choose(self.options.implementation))
        register(self.documents)
        config._attn_implementation = NAME

    @hookimpl
    def ft_forward_arguments(self, batch: Batch) -> Mapping[str, Any] | None:
        import torch

        self.documents.starts = starts = batch.get("documents")
        if starts is None:
            return None
        longest = batch["longest"]
        # never fewer than before: a compiled model is made anew for each number
        self.most = max(self.most, len(starts))
        starts = torch.cat([starts, starts[-1:].expand(self.most - len(starts))])
        # the names under which transformers hands documents on to every layer
        return {
            "cu_seq_lens_q": starts,
            "cu_seq_lens_k": starts,
            "max_length_q": longest,
            "max_length_k": longest,
        }

    @hookimpl
    def ft_estimate(self, estimate: Estimate) -> None:
        if self.documents.attend is not None and estimate.device.type == "cuda":
            estimate.dense_mask = False

    @hookimpl
    def ft_end_process(self) -> None:
        unregister()


kernel = Varlen()
