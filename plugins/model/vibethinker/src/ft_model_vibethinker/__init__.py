"""VibeThinker (Xu et al., 2025, arXiv:2511.06221): made of Qwen2.5-Math 1.5B.

Its chat format is that of Qwen2.5. What it thinks before an answer is part of the answer's text.
"""

from ft.api import Checkpoint, ModelFamily
from ft_template_qwen2_5 import Qwen25Template

template = Qwen25Template(
    r"'' if tools else 'Please reason step by step, and put your final answer within \\boxed{}.'",
    "WeiboAI/VibeThinker-1.5B",
)

family = ModelFamily(
    title="VibeThinker",
    vendor="Weibo AI",
    model_types=("qwen2",),
    templates="vibethinker",
    checkpoints=(Checkpoint("WeiboAI/VibeThinker-1.5B", parameters="1.5B"),),
    accepts=("packing",),
)
