"""OLoRA (Büyükakyüz, 2024, arXiv:2406.01775)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft_adapter_lora import StartedLayer, StartedLora

if TYPE_CHECKING:
    from torch import Tensor


class Olora(StartedLora):
    """OLoRA: LoRA whose factors start as the first columns of Q and rows of R, with W = Q R.

    What they hold is taken out of the frozen weight, so that the model starts unchanged. B starts
    orthonormal, which makes training faster and steadier than LoRA's. The result is saved as a
    plain LoRA of twice the rank, which any library puts on the unchanged base.
    """

    paper = "arXiv:2406.01775"
    samples = ({"rank": 8},)

    def factors(self, layer: StartedLayer, measured: Tensor | None) -> tuple[Tensor, Tensor]:
        import torch

        q, r = torch.linalg.qr(layer.weight())
        return q[:, : layer.rank], r[: layer.rank]


adapter = Olora()
