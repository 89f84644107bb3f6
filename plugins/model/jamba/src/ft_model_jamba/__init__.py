"""Jamba (Lieber et al., 2024, arXiv:2403.19887): Mamba layers, some attention, and experts.

Its first release is a base model without a chat format.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Jamba",
    vendor="AI21 Labs",
    model_types=("jamba",),
    checkpoints=(Checkpoint("ai21labs/Jamba-v0.1", parameters="52B-A12B", base=True),),
    fused_experts=("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"),
    tiny={
        "jamba": {
            "num_experts": 4,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
        }
    },
    provides=("linear-layers",),
)
