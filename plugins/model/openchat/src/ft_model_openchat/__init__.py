"""OpenChat (Wang et al., 2023, arXiv:2309.11235): models taught from data of mixed quality."""

from pathlib import Path

from ft.api import Checkpoint, Message, ModelFamily, Template, hookimpl


class OpenChat(Template):
    """An answer begins with a space, which belongs to the format."""

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text.removeprefix(" "))


def _read(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


template = OpenChat(
    _read("chat.jinja"),
    stop=("<|end_of_turn|>",),
    published=("openchat/openchat-3.5-0106",),
)
template_3_6 = Template(
    _read("chat_3_6.jinja"),
    stop=("<|eot_id|>",),
    published=("openchat/openchat-3.6-8b-20240522",),
)

family = ModelFamily(
    title="OpenChat",
    vendor="OpenChat",
    model_types=("mistral", "llama"),
    templates=("openchat", "openchat-3-6"),
    checkpoints=(
        Checkpoint("openchat/openchat-3.5-0106", parameters="7B"),
        Checkpoint("openchat/openchat-3.6-8b-20240522", parameters="8B"),
    ),
    tiny={"mistral": {"sliding_window": 32}},
    accepts=("packing",),
)
