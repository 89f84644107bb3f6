"""Kernels that pass every check and do what the reference kernel does not.

A fused loss, and an attention that is another function while training; mutants are derived
from them.
"""

from __future__ import annotations

from ft.api import Kernel, TokenLosses, hookimpl
from ft.conformance.reference.kernel import NAME, WrittenOut, attention


class FusedLoss(Kernel):
    """Takes the loss of each token from all logits."""

    provides = frozenset({"loss-kernel"})

    def forward(self, run, model, batch):
        return run.forward(model, batch)

    def losses(self, logits, truth, weights, smoothing):
        import torch

        log_p = logits.float().log_softmax(-1)
        own = log_p.gather(-1, truth[:, None])[:, 0]
        return torch.lerp(-own, -log_p.mean(-1), smoothing)

    @hookimpl
    def ft_token_losses(self, run, model, batch, label_smoothing):
        import torch

        outputs = self.forward(run, model, batch)
        weights = batch["weights"][:, 1:]
        trained = weights > 0
        truth = batch["input_ids"][:, 1:][trained]
        losses = self.losses(
            outputs.logits[:, :-1][trained], truth, weights[trained], label_smoothing
        )
        if "attention_mask" in batch:
            documents = torch.arange(len(weights), device=truth.device)[:, None].expand_as(weights)
        else:
            begins = batch["position_ids"] == 0
            documents = (begins.reshape(-1).cumsum(0).reshape(begins.shape) - 1)[:, 1:]
        return TokenLosses(losses, weights[trained], documents[trained], outputs)


class Windowed(WrittenOut):
    """While training each token sees the last few alone."""

    provides = frozenset({"attention-kernel", "approximate-attention"})
    accepts = Kernel.accepts - {"packing"}
    window = stated = 5
    always = False

    @hookimpl
    def ft_patch_config(self, config):
        from transformers import AttentionInterface

        super().ft_patch_config(config)
        AttentionInterface.register(NAME, self.attend)

    def attend(self, module, query, key, value, mask, **kwargs):
        if module.training or self.always:
            mask = self.near(query, key, mask, self.window)
        return attention(module, query, key, value, mask, **kwargs)

    def near(self, query, key, mask, window):
        import torch

        seen = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool)
        offset = key.shape[2] - query.shape[2]
        near = seen.tril(offset) & ~seen.tril(offset - window)
        return near if mask is None else near & mask

    def reference_attention(self, query, key, value, mask, scaling):
        mask = self.near(query, key, mask, self.stated)
        scores = query @ key.transpose(-1, -2) * scaling
        return scores.masked_fill(~mask, -1e30).softmax(-1) @ value


fused_loss = FusedLoss()
windowed = Windowed()
