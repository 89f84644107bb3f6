"""IQuest-Coder V1 40B (IQuest Lab, 2026): Llama's architecture, for code. It has tools.

The looped and the smaller models have formats and code of their own, and are not among these.
"""

import re
from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl, json_call, read_answer

_CALL = re.compile(r"\n?<tool_call>\n(.*?)\n</tool_call>", re.S)


class WithTools(Template):
    """ChatML with a system turn, and ``<tool_call>`` around calls in JSON."""

    provides = Template.provides | {"tools"}

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return read_answer(text, _CALL, json_call)


template = WithTools(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("IQuestLab/IQuest-Coder-V1-40B-Instruct",),
)

family = ModelFamily(
    title="IQuest-Coder",
    vendor="IQuest Lab",
    model_types=("iquestcoder",),
    templates="iquest-coder",
    checkpoints=(
        Checkpoint("IQuestLab/IQuest-Coder-V1-40B-Base-Stage1", parameters="40B", base=True),
        Checkpoint("IQuestLab/IQuest-Coder-V1-40B-Base", parameters="40B", base=True),
        Checkpoint("IQuestLab/IQuest-Coder-V1-40B-Instruct", parameters="40B"),
    ),
    accepts=("packing",),
)
