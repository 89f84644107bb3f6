"""Hunyuan-MT (Zheng et al., 2025, arXiv:2509.05209) and its successors: models that translate."""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = Template(_read("chat.jinja"), stop=("<|eos|>",), published=("tencent/Hy-MT2-7B",))
small = Template(
    _read("chat_small.jinja"),
    stop=("<｜hy_place▁holder▁no▁2｜>",),  # noqa: RUF001
    published=("tencent/Hy-MT2-1.8B",),
)

family = ModelFamily(
    title="Hunyuan-MT",
    vendor="Tencent",
    model_types=("hunyuan_v1_dense",),
    templates=("hunyuan-mt", "hunyuan-mt-small"),
    checkpoints=(
        Checkpoint("tencent/Hunyuan-MT-7B", parameters="7B"),
        Checkpoint("tencent/HY-MT1.5-7B", parameters="7B"),
        Checkpoint("tencent/Hy-MT2-1.8B", parameters="1.8B"),
        Checkpoint("tencent/Hy-MT2-7B", parameters="7B"),
        Checkpoint("tencent/HY-MT1.5-1.8B", parameters="1.8B"),
    ),
    accepts=("packing",),
)
