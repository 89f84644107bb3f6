import pytest
from families import assert_groups, assert_packs, assert_trains, load, random_ids
from published import VARIABLES, WEATHER, assert_as_published, conversations
from tiny import write_tiny

from ft.api import Conversation, Message, ToolCall
from ft.data.render import render
from ft_model_qwen3 import family, instruct, template, thinking


@pytest.fixture(scope="module", params=["qwen3", "qwen3_moe"])
def model(request, tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp(request.param), "qwen3", request.param)
    return load(family, request.param, folder)


def test_trains(model):
    assert_groups(family, model)
    assert_trains(model, input_ids=random_ids(20)[0][None])


def test_packed_equals_unpacked(model):
    assert_packs(model)


def test_fused_experts_are_parameters(tmp_path):
    model = load(family, "qwen3_moe", write_tiny(tmp_path, "qwen3", "qwen3_moe"))
    names = [name for name, parameter in model.named_parameters() if parameter.ndim == 3]
    assert names
    assert all(name.endswith(family.fused_experts) for name in names)


@pytest.mark.parametrize(
    ("plugin", "checkpoint"),
    [
        (template, "Qwen/Qwen3-0.6B"),
        (template, "Qwen/Qwen3-30B-A3B"),
        (instruct, "Qwen/Qwen3-4B-Instruct-2507"),
        (thinking, "Qwen/Qwen3-4B-Thinking-2507"),
    ],
)
def test_renders_as_published(plugin, checkpoint):
    compared = assert_as_published(
        plugin.jinja, checkpoint, conversations(), {"enable_thinking": False}
    )
    assert compared > 900


_CALLS = [ToolCall("get_weather", {"city": "Zürich", "days": 2}), ToolCall("now", {})]
ANSWERS = [
    Message("assistant", "Hello."),
    Message("assistant", ""),
    Message("assistant", "two\n\nparagraphs\n"),
    Message("assistant", "3", reasoning="one and\n\ntwo"),
    Message("assistant", "", reasoning="call it", tool_calls=_CALLS[:1]),
    Message("assistant", "I look.", tool_calls=_CALLS),
    Message("assistant", "", tool_calls=_CALLS),
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("plugin", [template, instruct, thinking])
def test_parses_what_it_renders(plugin, answer):
    if plugin is instruct and answer.reasoning:
        pytest.skip("the format has no reasoning")
    conversation = Conversation(messages=[Message("user", "Hi"), answer], tools=[WEATHER])
    rendered = render(plugin.jinja, conversation, generation_prompt=False, variables=VARIABLES)
    ((start, end, _),) = rendered.spans
    written = rendered.text[start:end]
    assert written.endswith("<|im_end|>")
    assert plugin.ft_parse_answer(written.removesuffix("<|im_end|>")) == answer


def test_keeps_a_broken_call_as_text():
    text = '<tool_call>\n{"name": \n</tool_call>'
    assert template.ft_parse_answer(text) == Message("assistant", text)


def test_the_router_loss_is_added_when_asked_for(tmp_path):
    from harness import tiny_run, train

    from ft_adapter_full import adapter as full
    from ft_optimizer_adamw import optimizer as adamw
    from ft_trainer_sft import trainer as sft

    class Asked(type(family)):
        def bind(self, name, options=None, **more):
            return super().bind(name, {"router_loss": True}, **more)

    losses = []
    for number, chosen in enumerate((family, Asked(**_data(family)))):
        plugins = [
            full.bind("full"),
            adamw.bind("adamw"),
            sft.bind("sft", {"steps": 1, "precision": "float32"}),
        ]
        folder = tmp_path / str(number)
        folder.mkdir()
        run = tiny_run(folder, plugins, family=chosen, model_type="qwen3_moe")
        train(run)
        losses.append(run.state.history[0])
    assert "extra_loss" not in losses[0]
    assert losses[1]["extra_loss"] > 0
    assert losses[1]["loss"] == pytest.approx(losses[0]["loss"] + losses[1]["extra_loss"], rel=1e-4)


def _data(plugin):
    return {"title": plugin.title, "vendor": plugin.vendor, "tiny": plugin.tiny}
