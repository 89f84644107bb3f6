import pytest
import torch
from harness import tiny_run
from tiny import write_tiny

from ft.api import Conversation, Message, Sampling
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


def test_greedy_answers_are_those_of_the_plain_loop(run):
    answers = run.generate(QUESTIONS, Sampling(max_new_tokens=6))
    for question, answer in zip(QUESTIONS, answers, strict=True):
        ids = list(run.tokenize([run.render(question, generation_prompt=True)])[0].input_ids)
        prompt = len(ids)
        with torch.no_grad():
            for _ in answer.token_ids:
                ids.append(int(run.model(torch.tensor([ids])).logits[0, -1].argmax()))
        assert list(answer.token_ids) == ids[prompt:]


def test_a_stop_token_ends_an_answer_and_is_no_part_of_its_text(run):
    end = run.tokenizer.convert_tokens_to_ids("<|im_end|>")
    head = run.model.get_output_embeddings()
    weight = head.weight.detach().clone()
    with torch.no_grad():  # every position now writes the end
        hidden = run.model.model(torch.tensor([[5, 6]])).last_hidden_state[0, -1]
        head.weight.zero_()
        head.weight[end] = hidden
    answer = run.generate(QUESTIONS[:1], Sampling(max_new_tokens=30))[0]
    with torch.no_grad():
        head.weight.copy_(weight)
    assert len(answer.token_ids) <= 30
    assert answer.finished == (answer.token_ids[-1] == end)
    assert "<|im_end|>" not in answer.text


def test_sampling_follows_its_seed_and_streams_what_it_answers(run):
    pieces = []
    sampling = Sampling(max_new_tokens=8, temperature=1.0, seed=3)
    one = run.generate(QUESTIONS[:1], sampling)[0]
    two = run.generate(
        QUESTIONS[:1],
        Sampling(max_new_tokens=8, temperature=1.0, seed=3, stream=pieces.append),
    )[0]
    assert list(one.token_ids) == list(two.token_ids)
    assert "".join(pieces) == two.text


def test_a_padding_id_of_zero_counts(run):
    assert run.pad_id == run.tokenizer.pad_token_id == 0
    rows = run.tokenize([run.render(one, generation_prompt=True) for one in QUESTIONS])
    batch = pad_left(run, rows)
    assert run.tokenizer.eos_token_id != 0
    assert batch["input_ids"][batch["attention_mask"] == 0].eq(0).all()
