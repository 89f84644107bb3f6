"""SOLAR (Kim et al., 2023, arXiv:2312.15166): Llama's architecture, some layers twice.

The chat template that lies beside the checkpoint writes nothing behind an answer, so that a model
trained with it would never stop. The one of this plugin has the end token there: name it in the
recipe, ``template: solar``.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
)

family = ModelFamily(
    title="SOLAR",
    vendor="Upstage",
    model_types=("llama",),
    templates="solar",
    checkpoints=(
        Checkpoint("upstage/SOLAR-10.7B-v1.0", parameters="10.7B", base=True),
        Checkpoint("upstage/SOLAR-10.7B-Instruct-v1.0", parameters="10.7B"),
    ),
    accepts=("packing",),
)
