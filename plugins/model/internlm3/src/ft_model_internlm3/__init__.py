"""InternLM3 (Shanghai AI Laboratory, 2025): ChatML turns behind a begin token."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("internlm/internlm3-8b-instruct",),
)

family = ModelFamily(
    title="InternLM3",
    vendor="Shanghai AI Laboratory",
    model_types=("internlm3",),
    templates="internlm3",
    checkpoints=(Checkpoint("internlm/internlm3-8b-instruct", parameters="8B"),),
    accepts=("packing",),
)
