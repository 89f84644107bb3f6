"""Chinese LLaMA-2 and Alpaca-2 (Cui et al., 2023, arXiv:2304.08177): Llama 2 taught Chinese.

The Alpaca-2 models chat in Llama 2's format, with system text of their own: "You are a helpful
assistant. 你是一个乐于助人的助手。" Put it into the data.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Chinese LLaMA-2",
    vendor="HFL",
    model_types=("llama",),
    templates="llama2",
    checkpoints=(
        Checkpoint("hfl/chinese-llama-2-1.3b", parameters="1.3B", base=True),
        Checkpoint("hfl/chinese-llama-2-7b", parameters="7B", base=True),
        Checkpoint("hfl/chinese-llama-2-13b", parameters="13B", base=True),
        Checkpoint("hfl/chinese-llama-2-7b-16k", parameters="7B", base=True),
        Checkpoint("hfl/chinese-llama-2-7b-64k", parameters="7B", base=True),
        Checkpoint("hfl/chinese-llama-2-13b-16k", parameters="13B", base=True),
        Checkpoint("hfl/chinese-alpaca-2-1.3b", parameters="1.3B"),
        Checkpoint("hfl/chinese-alpaca-2-7b", parameters="7B"),
        Checkpoint("hfl/chinese-alpaca-2-13b", parameters="13B"),
        Checkpoint("hfl/chinese-alpaca-2-7b-16k", parameters="7B"),
        Checkpoint("hfl/chinese-alpaca-2-7b-64k", parameters="7B"),
        Checkpoint("hfl/chinese-alpaca-2-13b-16k", parameters="13B"),
    ),
    accepts=("packing",),
)
