"""DBRX (Databricks, 2024): a mixture of 16 experts, of which 4 are active."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("trl-internal-testing/tiny-DbrxForCausalLM",),
)

family = ModelFamily(
    title="DBRX",
    vendor="Databricks",
    model_types=("dbrx",),
    templates="dbrx",
    checkpoints=(
        Checkpoint("databricks/dbrx-base", parameters="132B-A36B", base=True),
        Checkpoint("databricks/dbrx-instruct", parameters="132B-A36B"),
    ),
    tiny={
        "dbrx": {
            "d_model": 64,
            "n_heads": 4,
            "n_layers": 2,
            "max_seq_len": 512,
            "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
            "ffn_config": {
                "hidden_size": 64,
                "ffn_hidden_size": 32,
                "moe_num_experts": 4,
                "moe_top_k": 2,
            },
        }
    },
    accepts=("packing",),
)
