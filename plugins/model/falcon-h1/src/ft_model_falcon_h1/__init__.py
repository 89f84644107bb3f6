"""Falcon-H1 (Zuo et al., 2025, arXiv:2507.22448): attention and Mamba-2 in every layer.

A state runs through the whole sequence, so packing is not accepted.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("tiiuae/Falcon-H1-0.5B-Instruct",),
)

family = ModelFamily(
    title="Falcon-H1",
    vendor="TII",
    model_types=("falcon_h1",),
    templates="falcon-h1",
    checkpoints=(
        Checkpoint("tiiuae/Falcon-H1-0.5B-Base", parameters="0.5B", base=True),
        Checkpoint("tiiuae/Falcon-H1-1.5B-Base", parameters="1.5B", base=True),
        Checkpoint("tiiuae/Falcon-H1-1.5B-Deep-Base", parameters="1.5B", base=True),
        Checkpoint("tiiuae/Falcon-H1-3B-Base", parameters="3B", base=True),
        Checkpoint("tiiuae/Falcon-H1-7B-Base", parameters="7B", base=True),
        Checkpoint("tiiuae/Falcon-H1-34B-Base", parameters="34B", base=True),
        Checkpoint("tiiuae/Falcon-H1-0.5B-Instruct", parameters="0.5B"),
        Checkpoint("tiiuae/Falcon-H1-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("tiiuae/Falcon-H1-1.5B-Deep-Instruct", parameters="1.5B"),
        Checkpoint("tiiuae/Falcon-H1-3B-Instruct", parameters="3B"),
        Checkpoint("tiiuae/Falcon-H1-7B-Instruct", parameters="7B"),
        Checkpoint("tiiuae/Falcon-H1-34B-Instruct", parameters="34B"),
    ),
    tiny={
        "falcon_h1": {
            "mamba_d_ssm": 64,
            "mamba_n_heads": 4,
            "mamba_d_head": 16,
            "mamba_d_state": 16,
            "mamba_chunk_size": 32,
        }
    },
)
