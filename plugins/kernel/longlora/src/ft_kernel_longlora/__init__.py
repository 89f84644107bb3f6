"""LongLoRA's shifted sparse attention (Chen et al., 2023, arXiv:2309.12307)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ft.api import Field, InputError, Kernel, PluginOptions, Run, hookimpl

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig

NAME = "ft-longlora"


class LongLora(Kernel):
    """S2-Attn: while training a token attends within a group of its sequence alone.

    Half of the heads have groups that begin at every ``group``-th position; those of the other
    half are shifted by half a group, so that what one token knows passes on from group to
    group. It takes a part of the time and memory of full attention, and it is another function:
    evaluation, chat and serving attend in full, as the model was made to.

    Where the paper rolls the sequence, so that its last group also holds the first tokens, here
    these half groups stay apart: no token sees one that comes after it, and the length of the
    padding makes no difference. To reach beyond the model's own positions, set
    ``model.position_scaling``; the paper has norms and embeddings train as well, which is
    ``adapter.modules_to_save`` of LoRA.
    """

    paper = "arXiv:2309.12307"
    provides = frozenset({"attention-kernel", "approximate-attention"})
    accepts = Kernel.accepts - {"packing"}
    samples = ({"group_size": 8},)

    class Options(PluginOptions):
        group_ratio: float = Field(
            0.25, gt=0, le=1, description="length of a group, as a part of trainer.max_length"
        )
        group_size: int | None = Field(
            None, ge=2, multiple_of=2, description="length of a group in tokens; beats group_ratio"
        )

    _group: int | None = None

    @property
    def group(self) -> int:
        """Tokens in a group; even. Known from the options, or once the configuration is read."""
        return self.options.group_size or self._group or 2

    @hookimpl
    def ft_patch_config(self, run: Run, config: PretrainedConfig) -> None:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

        trainer = run.part("trainer")
        if trainer is not None:  # without one, nothing trains
            self._group = max(
                2, 2 * round(self.options.group_ratio * trainer.options.max_length / 2)
            )
        AttentionInterface.register(NAME, self.attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        config._attn_implementation = NAME

    @hookimpl
    def ft_end_process(self) -> None:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface

        for registry in (AttentionInterface, AttentionMaskInterface):
            registry._global_mapping.pop(NAME, None)

    def attend(
        self,
        module: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """Attention in transformers' form: (rows, heads, length, width) to (rows, length, …).

        Layers that are not causal, such as those that see images, attend in full.
        """
        import torch
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        for name in ("softcap", "s_aux"):
            if kwargs.get(name) is not None:
                raise InputError(
                    f"kernel longlora: this model's attention has {name}, which it does not compute"
                )
        causal = getattr(module, "is_causal", True)
        if not (module.training and causal and query.shape[2] == key.shape[2]):
            return sdpa_attention_forward(
                module, query, key, value, mask, scaling=scaling, dropout=dropout, **kwargs
            )
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
        half = query.shape[1] // 2
        heads = [(part[:, :half], part[:, half:]) for part in (query, key, value)]
        group, settings = self.group, {"scale": scaling, "dropout_p": dropout}
        plain = in_groups([first for first, _ in heads], mask, group, settings)
        # the half group before the first whole one, then those that are shifted by it
        shift = group // 2
        pieces = []
        for span in (slice(0, shift), slice(shift, None)):
            parts = [second[:, :, span] for _, second in heads]
            if parts[0].shape[2]:
                seen = None if mask is None else mask[:, :, span, span]
                pieces.append(in_groups(parts, seen, group, settings))
        out = torch.cat((plain, torch.cat(pieces, 2)), 1)
        return out.transpose(1, 2).contiguous(), None

    def reference_attention(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float
    ) -> Tensor:
        import torch

        length, heads = query.shape[2], query.shape[1]
        position = torch.arange(length, device=query.device)
        groups = torch.stack(
            [
                (position + (self.group // 2 if head >= heads // 2 else 0)) // self.group
                for head in range(heads)
            ]
        )
        same = groups[:, :, None] == groups[:, None, :]  # (heads, length, length)
        scores = query @ key.transpose(-1, -2) * scaling
        scores = scores.masked_fill(~(mask & same), torch.finfo(scores.dtype).min)
        return scores.softmax(-1) @ value


def in_groups(
    parts: Sequence[Tensor], mask: Tensor | None, group: int, settings: dict[str, Any]
) -> Tensor:
    """Causal attention within each ``group`` tokens.

    ``parts`` are queries, keys and values of shape (rows, heads, length, width), as is the
    result. ``mask`` is boolean, (rows, 1, length, length), true where a query sees a key;
    without one a query sees what comes before it. The groups become rows of one call.
    """
    import torch
    from torch.nn import functional

    rows, heads, length, width = parts[0].shape
    count = -(-length // group)
    fill = count * group - length

    def folded(tensor: Tensor) -> Tensor:
        tensor = functional.pad(tensor, (0, 0, 0, fill)).unflatten(2, (count, group))
        return tensor.transpose(1, 2).flatten(0, 1)

    seen = None
    if mask is not None:
        blocks = functional.pad(mask, (0, fill, 0, fill)).expand(rows, -1, -1, -1)
        blocks = blocks.unflatten(3, (count, group)).unflatten(2, (count, group))
        seen = blocks.diagonal(dim1=2, dim2=4).permute(0, 4, 1, 2, 3).flatten(0, 1)
        # padding sees itself: a softmax over nothing is no number
        seen = seen | torch.eye(group, dtype=torch.bool, device=seen.device)
    query, key, value = (folded(part) for part in parts)
    out = functional.scaled_dot_product_attention(
        query, key, value, seen, is_causal=seen is None, **settings
    )
    unfolded = out.unflatten(0, (rows, count)).transpose(1, 2).flatten(2, 3)
    return unfolded[:, :, :length].reshape(rows, heads, length, width)


kernel = LongLora()
