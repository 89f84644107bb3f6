"""DeepSeek LLM (arXiv:2401.02954) and DeepSeekMath (Shao et al., 2024, arXiv:2402.03300)."""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="DeepSeek LLM",
    vendor="DeepSeek",
    model_types=("llama",),
    templates="deepseek",
    checkpoints=(
        Checkpoint("deepseek-ai/deepseek-llm-7b-base", parameters="7B", base=True),
        Checkpoint("deepseek-ai/deepseek-llm-67b-base", parameters="67B", base=True),
        Checkpoint("deepseek-ai/deepseek-math-7b-base", parameters="7B", base=True),
        Checkpoint("deepseek-ai/deepseek-llm-7b-chat", parameters="7B"),
        Checkpoint("deepseek-ai/deepseek-llm-67b-chat", parameters="67B"),
        Checkpoint("deepseek-ai/deepseek-math-7b-instruct", parameters="7B"),
        Checkpoint("deepseek-ai/deepseek-math-7b-rl", parameters="7B"),
    ),
    accepts=("packing",),
)
