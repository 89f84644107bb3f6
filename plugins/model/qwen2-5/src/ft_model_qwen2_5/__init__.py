"""Qwen2.5 (Qwen Team, 2024, arXiv:2412.15115), Qwen2.5-Coder (Hui et al., 2024, arXiv:2409.12186)
and Qwen2.5-Math (Yang et al., 2024, arXiv:2409.12122): dense models.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Qwen2.5",
    vendor="Alibaba",
    model_types=("qwen2",),
    templates=("qwen2-5", "qwen2-5-base", "qwen2-5-math"),
    checkpoints=(
        Checkpoint("Qwen/Qwen2.5-0.5B", parameters="0.5B", base=True),
        Checkpoint("Qwen/Qwen2.5-1.5B", parameters="1.5B", base=True),
        Checkpoint("Qwen/Qwen2.5-3B", parameters="3B", base=True),
        Checkpoint("Qwen/Qwen2.5-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2.5-14B", parameters="14B", base=True),
        Checkpoint("Qwen/Qwen2.5-32B", parameters="32B", base=True),
        Checkpoint("Qwen/Qwen2.5-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-0.5B", parameters="0.5B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-1.5B", parameters="1.5B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-3B", parameters="3B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-14B", parameters="14B", base=True),
        Checkpoint("Qwen/Qwen2.5-Coder-32B", parameters="32B", base=True),
        Checkpoint("Qwen/Qwen2.5-Math-1.5B", parameters="1.5B", base=True),
        Checkpoint("Qwen/Qwen2.5-Math-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2.5-Math-72B", parameters="72B", base=True),
        Checkpoint("Qwen/Qwen2.5-0.5B-Instruct", parameters="0.5B"),
        Checkpoint("Qwen/Qwen2.5-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("Qwen/Qwen2.5-3B-Instruct", parameters="3B"),
        Checkpoint("Qwen/Qwen2.5-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-14B-Instruct", parameters="14B"),
        Checkpoint("Qwen/Qwen2.5-32B-Instruct", parameters="32B"),
        Checkpoint("Qwen/Qwen2.5-72B-Instruct", parameters="72B"),
        Checkpoint("Qwen/Qwen2.5-7B-Instruct-1M", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-14B-Instruct-1M", parameters="14B"),
        Checkpoint("Qwen/Qwen2.5-Coder-0.5B-Instruct", parameters="0.5B"),
        Checkpoint("Qwen/Qwen2.5-Coder-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("Qwen/Qwen2.5-Coder-3B-Instruct", parameters="3B"),
        Checkpoint("Qwen/Qwen2.5-Coder-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-Coder-14B-Instruct", parameters="14B"),
        Checkpoint("Qwen/Qwen2.5-Coder-32B-Instruct", parameters="32B"),
        Checkpoint("Qwen/Qwen2.5-Math-1.5B-Instruct", parameters="1.5B"),
        Checkpoint("Qwen/Qwen2.5-Math-7B-Instruct", parameters="7B"),
        Checkpoint("Qwen/Qwen2.5-Math-72B-Instruct", parameters="72B"),
    ),
    accepts=("packing",),
)
