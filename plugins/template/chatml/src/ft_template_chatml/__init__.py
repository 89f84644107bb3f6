"""ChatML, the format that OpenAI published in 2023 and that many models took up.

The plain form: every turn between ``<|im_start|>role`` and ``<|im_end|>``, with no system turn
of its own. It is what a base model is taught when it has no format yet.
"""

from pathlib import Path

from ft.api import Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    # SmolLM has the plain form of the format
    published=("HuggingFaceTB/SmolLM-135M-Instruct",),
)
