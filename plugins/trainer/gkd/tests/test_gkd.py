import pytest
from harness import assert_resumes, train
from online import online_run

from ft.api import Conversation, InputError, Message
from ft.api.online import asked_of
from ft_adapter_lora import adapter as lora
from ft_trainer_gkd import trainer as gkd

LESSONS = [
    Conversation([Message("user", text), Message("assistant", answer)])
    for text, answer in (("Say three.", "Three."), ("Who are you?", "I am a small model."))
]


def make(folder, **options):
    given = {"batch_size": 2, **options}
    adapter = lora.bind("lora", {"rank": 2})
    return online_run(folder, gkd, given, rewards=[], adapter=adapter, examples=LESSONS)


def test_the_student_answers_in_its_share_of_the_steps(tmp_path):
    run = make(tmp_path, on_policy=0.5, steps=12, ce_weight=0.1)
    train(run)
    shares = [line["on_policy"] for line in run.state.history]
    assert set(shares) == {0.0, 1.0}
    assert all(("answer_length" in line) == bool(line["on_policy"]) for line in run.state.history)


def test_own_answers_have_no_cross_entropy_and_the_asked_prompt(tmp_path):
    run = make(tmp_path, on_policy=1.0, ce_weight=1.0, max_new_tokens=3)
    trainer = run.part("trainer")
    given = run.collate(list(run.data))
    (own,) = next(iter(trainer.ft_make_batches(run, run.model.train(), [given])))
    assert trainer.ce_share(own) == 0
    assert trainer.ce_share(given) == 1
    for row, ids, weights in zip(
        run.data, own["tokens"]["input_ids"], own["tokens"]["weights"], strict=True
    ):
        prompt = list(row["prompt"].input_ids)
        assert ids[: len(prompt)].tolist() == prompt
        assert 1 <= int(weights.sum()) <= 3
        assert not weights[: len(prompt)].any()


def test_evaluation_is_on_the_data(tmp_path):
    run = make(tmp_path, on_policy=1.0)
    given = run.collate(list(run.data))
    (batch,) = next(iter(run.part("trainer").ft_make_batches(run, run.model.eval(), [given])))
    assert batch["tokens"]["input_ids"].equal(given["tokens"]["input_ids"])


def test_it_resumes(tmp_path):
    assert_resumes(lambda: make(tmp_path, on_policy=0.5), 2)


def test_what_was_asked():
    turns = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    example = Conversation([Message(role, text) for role, text in turns])
    assert [m.content for m in asked_of(example).messages] == ["s", "a", "b", "c"]
    with pytest.raises(InputError, match="nothing is asked"):
        asked_of(Conversation([Message("user", "a")]))
