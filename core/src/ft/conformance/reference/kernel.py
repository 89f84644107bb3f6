"""The reference kernel: attention written out, under a name of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ft.api import Kernel, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

NAME = "ft-reference-attention"


class WrittenOut(Kernel):
    """Computes attention as the formula has it; the mask is the one of torch's own kernel."""

    provides = frozenset({"attention-kernel"})

    @hookimpl
    def ft_patch_config(self, config: Any) -> None:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        config._attn_implementation = NAME

    @hookimpl
    def ft_end_process(self) -> None:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface

        for registry in (AttentionInterface, AttentionMaskInterface):
            registry._global_mapping.pop(NAME, None)


class Stated(WrittenOut):
    """Trains with the attention that another kernel states (``Kernel.reference_attention``)."""

    def __init__(self, stating: Kernel):
        self.stating = stating

    @hookimpl
    def ft_patch_config(self, config: Any) -> None:
        from transformers import AttentionInterface

        super().ft_patch_config(config)
        AttentionInterface.register(NAME, self.attend)

    def attend(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        import torch

        key = key.repeat_interleave(module.num_key_value_groups, 1)
        value = value.repeat_interleave(module.num_key_value_groups, 1)
        if mask is None:
            length = query.shape[2]
            mask = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
            mask = mask.expand(len(query), 1, length, length)
        scaling = scaling or query.shape[-1] ** -0.5
        out = self.stating.reference_attention(query, key, value, mask, scaling)
        return out.transpose(1, 2).contiguous(), None


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Softmax of the scaled products; ``mask`` is true where a query sees a key.

    Shapes are (rows, heads, length, width), the result's (rows, length, heads, width).
    Without a mask, which is how the plain causal case comes, a query sees what is before it.
    """
    import torch

    key = key.repeat_interleave(module.num_key_value_groups, 1)
    value = value.repeat_interleave(module.num_key_value_groups, 1)
    if mask is None:
        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device)
        mask = seen.tril(key.shape[2] - query.shape[2])
    scores = query @ key.transpose(-1, -2) * (scaling or query.shape[-1] ** -0.5)
    # a row of padding sees nothing; a large number rather than infinity keeps it finite
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    out = scores.softmax(-1) @ value
    return out.transpose(1, 2).contiguous(), None


kernel = WrittenOut()
