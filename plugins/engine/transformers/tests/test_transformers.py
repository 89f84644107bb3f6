import pytest
from harness import tiny_run
from tiny import write_tiny

from ft.api import Conversation, Message, Sampling, Template, hookimpl
from ft_adapter_full import adapter as full
from ft_engine_transformers import engine as transformers
from ft_engine_transformers import pad_left
from ft_model_smollm2 import family, template

QUESTIONS = [
    Conversation([Message("user", "Who are you?")]),
    Conversation([Message("system", "Be brief."), Message("user", "What is one and two? " * 3)]),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    write_tiny(folder / "model", "smollm2", "llama")
    plugins = [full.bind("full"), template.bind("smollm2"), transformers.bind("transformers")]
    return tiny_run(folder, plugins, family=family)


def test_a_padding_id_of_zero_counts(run):
    assert run.pad_id == run.tokenizer.pad_token_id == 0
    rows = run.tokenize([run.render(one, generation_prompt=True) for one in QUESTIONS])
    batch = pad_left(run, rows)
    assert run.tokenizer.eos_token_id != 0
    assert batch["input_ids"][batch["attention_mask"] == 0].eq(0).all()


def test_an_answer_is_read_with_the_tools_of_its_conversation(tmp_path):
    class Naming(Template):
        provides = Template.provides | {"tools"}

        @hookimpl
        def ft_parse_answer(self, tools):
            return Message("assistant", " ".join(tool["function"]["name"] for tool in tools))

    write_tiny(tmp_path / "model", "smollm2", "llama")
    naming = Naming(template.jinja, template.stop).bind("naming")
    run = tiny_run(
        tmp_path, [full.bind("full"), naming, transformers.bind("transformers")], family=family
    )
    asked = [
        Conversation(QUESTIONS[0].messages, tools=[{"function": {"name": name}}]) for name in "ab"
    ]
    answers = run.generate([*asked, QUESTIONS[0]], Sampling(max_new_tokens=1))
    assert [answer.message.content for answer in answers] == ["a", "b", ""]
