"""The chat format of Command R, Aya 23 and Aya Expanse by Cohere.

It is their format for chats; those for tools and for documents, which they have under names of
their own, are not here.
"""

from pathlib import Path

from ft.api import Template

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|END_OF_TURN_TOKEN|>",),
    published=("trl-internal-testing/tiny-CohereForCausalLM",),
)
