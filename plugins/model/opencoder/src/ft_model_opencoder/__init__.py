"""OpenCoder (Huang et al., 2024, arXiv:2411.04905): Llama's architecture with ChatML turns.

Its chat format puts a system turn in front where the conversation has none.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
)

family = ModelFamily(
    title="OpenCoder",
    vendor="INF",
    model_types=("llama",),
    templates="opencoder",
    checkpoints=(
        Checkpoint("infly/OpenCoder-1.5B-Base", parameters="1.5B", base=True),
        Checkpoint("infly/OpenCoder-8B-Base", parameters="8B", base=True),
        Checkpoint("infly/OpenCoder-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("infly/OpenCoder-8B-Instruct", parameters="8B"),
    ),
    accepts=("packing",),
)
