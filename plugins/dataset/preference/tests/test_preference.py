"""Preference rows to pairs and verdicts."""

import pytest

from ft.api import Feedback, Message, Part, Preference, RowError
from ft_dataset_preference import dataset

DPO = {
    "conversations": [{"from": "human", "value": "Hi! I'd like to create a new language game."}],
    "chosen": {"from": "gpt", "value": "That sounds like a fun and engaging idea!"},
    "rejected": {"from": "gpt", "value": "Hi there! I'd be happy to help."},
}
KTO = {
    "messages": [
        {"content": "Which is the best summary of this article?", "role": "user"},
        {"content": "D! Science/Tech!", "role": "assistant"},
    ],
    "label": True,
}
ASKED = {"role": "user", "content": "hi"}
GOOD = {"role": "assistant", "content": "hello"}
BAD = {"role": "assistant", "content": "go away"}


def align(row, **options):
    return dataset.bind("preference", options).ft_align_row(row=row)


def test_a_row_of_the_dpo_set():
    assert align(DPO) == Preference(
        prompt=[Message("user", DPO["conversations"][0]["value"])],
        chosen=[Message("assistant", DPO["chosen"]["value"])],
        rejected=[Message("assistant", DPO["rejected"]["value"])],
        tools=[],
    )


HI = Preference(
    prompt=[Message("user", "hi")],
    chosen=[Message("assistant", "hello")],
    rejected=[Message("assistant", "go away")],
    tools=[],
)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "hello", "rejected": "go away"},
        {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]},
        {"messages": [ASKED], "chosen": GOOD, "rejected": BAD},
        {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        {"prompt": "hi", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        {"instruction": "hi", "input": "", "chosen": "hello", "rejected": "go away"},
        {
            "chosen": "\n\nHuman: hi\n\nAssistant: hello",
            "rejected": "\n\nHuman: hi\n\nAssistant: go away",
        },
    ],
)
def test_the_shapes_in_which_pairs_are_published(row):
    assert align(row) == HI


def test_conversations_that_part_early_keep_their_further_turns():
    chosen = [ASKED, GOOD, ASKED, GOOD]
    rejected = [ASKED, GOOD, ASKED, BAD, ASKED, BAD]
    example = align({"chosen": chosen, "rejected": rejected})
    assert [len(t) for t in (example.prompt, example.chosen, example.rejected)] == [3, 1, 3]


def test_margin_system_tools_media_and_unused_columns():
    example = align(
        {
            "prompt": "<image>hi",
            "chosen": "hello",
            "rejected": "go away",
            "margin": 2,
            "system": "Be kind.",
            "tools": [{"name": "f"}],
            "images": ["1.jpg"],
            "id": 3,
        }
    )
    assert example.margin == 2.0
    assert example.prompt == [
        Message("system", "Be kind."),
        Message("user", [Part("image", source="1.jpg"), Part("text", "hi")]),
    ]
    assert example.tools == [{"type": "function", "function": {"name": "f"}}]
    assert example.extra == {"id": 3}


def test_a_row_of_the_kto_set():
    assert align(KTO) == Feedback(
        prompt=[Message("user", "Which is the best summary of this article?")],
        answer=[Message("assistant", "D! Science/Tech!")],
        good=True,
        tools=[],
    )


@pytest.mark.parametrize(("label", "good"), [(False, False), (1, True), ("False", False)])
def test_verdicts_on_a_completion(label, good):
    example = align({"prompt": "hi", "completion": "hello", "label": label})
    assert example == Feedback(prompt=HI.prompt, answer=HI.chosen, good=good, tools=[])


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "chosen"),
        ({"prompt": "hi", "chosen": "hello"}, "rejected"),
        ({**DPO, "chosen": None}, "chosen"),
        ({**DPO, "chosen": {"from": "bot", "value": "x"}}, "chosen[0].from"),
        ({**DPO, "rejected": {"from": "human", "value": "x"}}, "rejected"),
        ({**DPO, "conversations": []}, "conversations"),
        ({**DPO, "rejected": DPO["chosen"]}, "rejected"),
        ({"chosen": [ASKED, GOOD], "rejected": [ASKED, GOOD]}, "rejected"),
        ({**DPO, "margin": "wide"}, "margin"),
        ({**DPO, "images": ["1.jpg"]}, "images"),
        ({"chosen": "hello", "rejected": "go away"}, "prompt"),
        ({"chosen": [ASKED], "rejected": [ASKED]}, "prompt"),
        ({"chosen": [ASKED, GOOD], "rejected": [GOOD]}, "prompt"),
        ({"instruction": 4, "chosen": "a", "rejected": "b"}, "instruction"),
        ({**KTO, "label": "perhaps"}, "label"),
        ({**KTO, "label": []}, "label"),
        ({**KTO, "messages": [ASKED]}, "messages"),
        ({**KTO, "messages": [GOOD]}, "messages"),
        ({"completion": "hello", "label": True}, "instruction"),
    ],
)
def test_the_field_at_fault_is_named(row, field):
    with pytest.raises(RowError) as caught:
        align(row)
    assert caught.value.field == field
