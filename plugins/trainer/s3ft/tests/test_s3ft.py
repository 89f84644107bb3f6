import pytest
import torch
from harness import assert_resumes, train
from online import online_run

from ft.api import Conversation, Message, Reward, hookimpl
from ft_adapter_lora import adapter as lora
from ft_trainer_s3ft import trainer as s3ft

LESSONS = [
    Conversation([Message("user", text), Message("assistant", answer)])
    for text, answer in (("Say three.", "Three."), ("Who are you?", "I am a small model."))
]


class First(Reward):
    """Finds answers to the first question right, and notes what it is told."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def ft_score(self, conversations, extras):
        self.seen += [
            (conversation.messages[0].text, extra["answer"])
            for conversation, extra in zip(conversations, extras, strict=True)
        ]
        return [float("three" in c.messages[0].text) for c in conversations]


def make(folder, **options):
    run = online_run(
        folder,
        s3ft,
        {"batch_size": 2, "max_new_tokens": 4, **options},
        rewards=[First().bind("first")],
        adapter=lora.bind("lora", {"rank": 2}),
        examples=LESSONS,
    )
    # an answer that is not cut off: every token ends it
    trainer = run.part("trainer")
    plain = trainer._answers

    def finished(run, asked):
        answers = plain(run, asked)
        for answer in answers:
            answer.finished = True
        return answers

    trainer._answers = finished
    return run


def selected(run):
    batch = run.collate(list(run.data))
    (made,) = next(iter(run.part("trainer").ft_make_batches(run, run.model.train(), [batch])))
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(
            made["tokens"]["input_ids"], made["tokens"]["attention_mask"], strict=True
        )
    ]


def test_right_answers_are_the_models_and_the_others_the_datas(tmp_path):
    run = make(tmp_path)
    first, second = selected(run)
    prompt = list(run.data[0]["prompt"].input_ids)
    assert first[: len(prompt)] == prompt
    assert first != list(run.data[0]["tokens"].input_ids)
    assert second == list(run.data[1]["tokens"].input_ids)
    # the judge is told the data's answer
    seen = run.part("reward").seen
    assert seen == [("Say three.", "Three."), ("Who are you?", "I am a small model.")]
    # and is asked once
    train(run)
    assert run.part("reward").seen == seen
    assert {line["own_answers"] for line in run.state.history} == {0.5}


def test_the_answers_are_those_from_before_training(tmp_path):
    run = make(tmp_path, steps=4)
    expected = selected(run)[0]
    with torch.no_grad():
        for _, parameter in run.trainable():
            parameter.add_(torch.randn_like(parameter))
    run.part("trainer").chosen.clear()
    assert selected(run)[0] == expected


def test_a_paraphrase_is_judged_in_turn(tmp_path):
    ask = "Say three times {question}: {answer}"
    run = make(tmp_path, paraphrase=ask)
    _, second = selected(run)
    # asked with the data's answer, and judged as an answer to the question itself
    assert run.part("reward").seen[-1] == ("Who are you?", "I am a small model.")
    assert second == list(run.data[1]["tokens"].input_ids)
    asked = run.part("trainer")._rephrased(LESSONS[1]).messages[0].text
    assert asked == "Say three times Who are you?: I am a small model."
    with pytest.raises(ValueError, match="places"):
        s3ft.bind("s3ft", {"paraphrase": "say it again"})


def test_evaluation_is_on_the_data(tmp_path):
    run = make(tmp_path)
    batch = run.collate(list(run.data))
    trainer = run.part("trainer")
    (same,) = next(iter(trainer.ft_make_batches(run, run.model.eval(), [batch])))
    assert same is batch


def test_it_resumes(tmp_path):
    assert_resumes(lambda: make(tmp_path), 2)
