"""Yi (01.AI, 2024, arXiv:2403.04652): Llama's architecture, with three chat formats.

That of the first release is plain ChatML. In Yi-1.5 system text stands bare before the first turn.
"""

from pathlib import Path

from ft.api import Checkpoint, ModelFamily, Template


def _template(system_turn: str, published: str) -> Template:
    text = (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8")
    return Template(
        f"{{%- set system_turn = {system_turn} %}}\n{text}",
        stop=("<|im_end|>",),
        published=(published,),
    )


template = _template("false", "01-ai/Yi-1.5-9B-Chat")
coder = _template("true", "01-ai/Yi-Coder-9B-Chat")

family = ModelFamily(
    title="Yi",
    vendor="01.AI",
    model_types=("llama",),
    templates=("chatml", "yi-1-5", "yi-coder"),
    checkpoints=(
        Checkpoint("01-ai/Yi-6B", parameters="6B", base=True),
        Checkpoint("01-ai/Yi-9B", parameters="9B", base=True),
        Checkpoint("01-ai/Yi-34B", parameters="34B", base=True),
        Checkpoint("01-ai/Yi-1.5-6B", parameters="6B", base=True),
        Checkpoint("01-ai/Yi-1.5-9B", parameters="9B", base=True),
        Checkpoint("01-ai/Yi-1.5-34B", parameters="34B", base=True),
        Checkpoint("01-ai/Yi-Coder-1.5B", parameters="1.5B", base=True),
        Checkpoint("01-ai/Yi-Coder-9B", parameters="9B", base=True),
        Checkpoint("01-ai/Yi-6B-Chat", parameters="6B"),
        Checkpoint("01-ai/Yi-34B-Chat", parameters="34B"),
        Checkpoint("01-ai/Yi-1.5-6B-Chat", parameters="6B"),
        Checkpoint("01-ai/Yi-1.5-9B-Chat", parameters="9B"),
        Checkpoint("01-ai/Yi-1.5-34B-Chat", parameters="34B"),
        Checkpoint("01-ai/Yi-Coder-1.5B-Chat", parameters="1.5B"),
        Checkpoint("01-ai/Yi-Coder-9B-Chat", parameters="9B"),
        Checkpoint("01-ai/Yi-6B-200K", parameters="6B", base=True),
        Checkpoint("01-ai/Yi-9B-200K", parameters="9B", base=True),
        Checkpoint("01-ai/Yi-34B-200K", parameters="34B", base=True),
        Checkpoint("01-ai/Yi-1.5-9B-Chat-16K", parameters="9B"),
        Checkpoint("01-ai/Yi-1.5-34B-Chat-16K", parameters="34B"),
    ),
    accepts=("packing",),
)
