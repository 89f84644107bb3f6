"""Attention over packed documents at their own lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ft.api import Batch, Estimate, Field, Kernel, PluginOptions, hookimpl
from ft_kernel_varlen.attention import register, unregister
from ft_kernel_varlen.documents import NAME, Documents
from ft_kernel_varlen.implementations import choose, choose_short
from ft_kernel_varlen.masks import register_masks, skip_masks

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Varlen(Kernel):
    """Packed documents are attended to one by one; no mask is built and none is read.

    A dense mask over a pack costs time and memory for every pair of tokens, most of which lie
    in different documents. Flash attention takes the documents' borders instead (Dao, 2023,
    arXiv:2307.08691), and so do kernels of this plugin's own, faster for documents of some
    hundred tokens. Rows that are not packed, evaluation of other shapes and generation go
    through torch's scaled dot product with a mask, and so does everything where no such kernel
    runs: on a CPU, in float32, on cards before compute capability 8.0.
    """

    provides = frozenset({"attention-kernel"})
    most = 0
    """The most documents in a batch so far."""

    class Options(PluginOptions):
        implementation: Literal[
            "auto", "torch", "flash-attn-2", "flash-attn-3", "flash-attn-4", "short", "dense"
        ] = Field(
            "auto",
            description="auto: short for short documents, else flash-attn 4, 3 or 2 where "
            "installed, else torch's own; short: this plugin's own; dense: a mask of the documents",
        )

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        name = self.options.implementation
        self.documents = Documents(choose(name), choose_short(name))
        register(self.documents)
        register_masks(self.documents)
        config._attn_implementation = NAME

    @hookimpl
    def ft_patch_trained(self, model: nn.Module) -> None:
        skip_masks(self.documents, model)

    @hookimpl
    def ft_forward_arguments(self, batch: Batch) -> Mapping[str, Any] | None:
        import torch

        starts = batch.get("documents")
        self.documents.begin(starts, batch["input_ids"].numel())
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
        documents = self.documents
        if (documents.attend or documents.attend_short) and estimate.device.type == "cuda":
            estimate.dense_mask = False

    @hookimpl
    def ft_end_process(self) -> None:
        unregister()


kernel = Varlen()
