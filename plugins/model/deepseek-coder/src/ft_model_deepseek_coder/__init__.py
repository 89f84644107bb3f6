"""DeepSeek Coder (Guo et al., 2024, arXiv:2401.14196): models that write code."""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class Lines(Template):
    """A format in which an answer ends with a line break."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removesuffix("\n"))


template = Lines(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|EOT|>",),
    published=("deepseek-ai/deepseek-coder-6.7b-instruct",),
)

family = ModelFamily(
    title="DeepSeek Coder",
    vendor="DeepSeek",
    model_types=("llama",),
    templates="deepseek-coder",
    checkpoints=(
        Checkpoint("deepseek-ai/deepseek-coder-6.7b-base", parameters="6.7B", base=True),
        Checkpoint("deepseek-ai/deepseek-coder-7b-base-v1.5", parameters="7B", base=True),
        Checkpoint("deepseek-ai/deepseek-coder-33b-base", parameters="33B", base=True),
        Checkpoint("deepseek-ai/deepseek-coder-1.3b-base", parameters="1.3B", base=True),
        Checkpoint("deepseek-ai/deepseek-coder-6.7b-instruct", parameters="6.7B"),
        Checkpoint("deepseek-ai/deepseek-coder-7b-instruct-v1.5", parameters="7B"),
        Checkpoint("deepseek-ai/deepseek-coder-33b-instruct", parameters="33B"),
        Checkpoint("deepseek-ai/deepseek-coder-1.3b-instruct", parameters="1.3B"),
    ),
    accepts=("packing",),
)
