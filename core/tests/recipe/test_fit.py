"""Capabilities: what does not go together, why, and what would."""

from __future__ import annotations

import pytest

from ft.api import Adapter, Capabilities, Kernel, Optimizer, Plugin, Reward, Trainer, TrainerOptions
from ft.errors import PluginError
from ft.recipe.alternatives import nearest
from ft.recipe.fit import misfits

from .conftest import Full, Nf4

HEAD = "model: ./tiny\ndata: train.jsonl\n"


def judge(world, text):
    plugins = world.resolve(text).selection.all()
    edits = nearest(plugins, world.index())
    return (
        [misfit.sentence for misfit in misfits(plugins)],
        None if edits is None else [(edit.text, edit.override) for edit in edits],
    )


def test_what_fits(world):
    assert judge(world, HEAD + "adapter: lora\ntrainer: sft\nquantizer: nf4\n")[0] == []


def test_a_feature_that_is_not_accepted(world):
    assert judge(world, HEAD + "adapter: full\ntrainer: sft\nquantizer: nf4\n") == (
        [
            "With quantizer:nf4 the run has base weights in a quantized form (quantized-base), "
            "which adapter:full does not accept."
        ],
        [("adapter: lora instead of full", "adapter=lora")],
    )


def test_an_optional_part_is_left_out_where_nothing_takes_its_place(world):
    del world.plugins["adapter:lora"]
    edits = judge(world, HEAD + "adapter: full\ntrainer: sft\nquantizer: nf4\n")[1]
    assert edits == [("no quantizer nf4", "quantizer=null")]


def test_an_option_is_switched_before_a_part_is_replaced(world):
    class Packless(Adapter):
        accepts = frozenset()

    world.plugins["adapter:packless"] = Packless()
    found, edits = judge(
        world, HEAD + "adapter: packless\ntrainer: {name: sft, packing: true, epochs: 2}\n"
    )
    assert found == [
        "With trainer:sft the run has several documents in one sequence (packing), which "
        "adapter:packless does not accept."
    ]
    assert edits == [("trainer.packing: false instead of true", "trainer.packing=false")]


def test_an_option_without_a_value_may_be_what_fits(world):
    class Immediate(Optimizer):
        accepts = frozenset({"gradient-accumulation"})

    world.plugins["optimizer:immediate"] = Immediate()
    text = HEAD + "adapter: full\noptimizer: immediate\ntrainer: {name: sft, epochs: 2}\n"
    found, edits = judge(world, text)
    assert "a bound on the gradient norm" in found[0]
    assert edits == [("set trainer.max_grad_norm: null", "trainer.max_grad_norm=null")]


def test_a_trainer_must_accept_its_own_packing(world):
    found, edits = judge(
        world,
        "model: ./tiny\ndata: pairs.jsonl\nadapter: lora\ntrainer: {name: dpo, packing: true}\n",
    )
    assert found == [
        "With trainer:dpo the run has several documents in one sequence (packing), which "
        "trainer:dpo itself does not accept."
    ]
    assert edits == [("trainer.packing: false instead of true", "trainer.packing=false")]


def test_an_unmet_need_names_what_would_meet_it(world):
    found, edits = judge(world, "model: ./tiny\ndata: pairs.jsonl\nadapter: full\ntrainer: dpo\n")
    assert found == [
        "trainer:dpo needs adapter weights that can be switched off and swapped "
        "(switchable-adapter), and no other part of the recipe brings that."
    ]
    assert edits == [("adapter: lora instead of full", "adapter=lora")]


def test_a_missing_part_is_added(world):
    class Online(Trainer):
        needs = frozenset({"rewards"})

    world.plugins |= {"trainer:online": Online(), "reward:length": Reward()}
    edits = judge(world, HEAD + "adapter: lora\ntrainer: {name: online, epochs: 2}\n")[1]
    assert edits == [("rewards: length, which brings a reward for each answer", "rewards=[length]")]


def test_a_conflict(world):
    class Shy(Adapter):
        conflicts = frozenset({"attention-kernel"})

    world.plugins["adapter:shy"] = Shy()
    found, edits = judge(world, HEAD + "adapter: shy\ntrainer: sft\nkernels: flash\n")
    assert found == [
        "With kernel:flash the run has an attention kernel of its own (attention-kernel), which "
        "adapter:shy cannot work with."
    ]
    assert edits == [("adapter: full instead of shy", "adapter=full")]


def test_what_only_one_may_bring(world):
    text = HEAD + "adapter: lora\ntrainer: sft\nkernels: [flash, flasher]\n"
    found, edits = judge(world, text)
    assert found == [
        "kernel:flash and kernel:flasher both bring an attention kernel of its own "
        "(attention-kernel), and a run can have only one."
    ]
    assert edits == [("no kernels flasher", "")]


def test_examples_that_the_trainer_does_not_take(world):
    found, edits = judge(world, HEAD + "adapter: lora\ntrainer: dpo\n")
    assert found == [
        "trainer:dpo learns from Preference examples, and dataset:alpaca makes Conversation "
        "examples."
    ]
    assert edits == [("trainer: sft instead of dpo", "trainer=sft")]


def test_two_edits_where_one_is_not_enough(world):
    found, edits = judge(world, HEAD + "adapter: full\ntrainer: dpo\nquantizer: nf4\n")
    assert len(found) == 3
    assert edits == [
        ("adapter: lora instead of full", "adapter=lora"),
        ("trainer: sft instead of dpo", "trainer=sft"),
    ]


def test_nothing_helps(world):
    for id in ("adapter:lora", "trainer:sft"):
        del world.plugins[id]
    found, edits = judge(world, HEAD + "adapter: full\ntrainer: dpo\n")
    assert len(found) == 2
    assert edits is None


def test_options_decide(world):
    class Choosy(Kernel):
        class Options(TrainerOptions):
            pass

        def capabilities(self) -> Capabilities:
            words = super().capabilities()
            return words.also(conflicts={"packing"}) if self.options.shuffle else words

    world.plugins["kernel:choosy"] = Choosy()
    text = HEAD + "adapter: lora\ntrainer: {name: sft, packing: true}\nkernels: [choosy]\n"
    assert len(judge(world, text)[0]) == 1
    assert judge(world, text.replace("[choosy]", "[{name: choosy, shuffle: false}]"))[0] == []


def test_a_wrong_word_is_the_plugins_fault():
    class Wrong(Adapter):
        needs = frozenset({"magic"})

    with pytest.raises(PluginError, match=r"adapter:wrong: needs names magic"):
        misfits([Wrong().bind("wrong")])


def test_two_plugins_of_one_word_say_it_once():
    def bound(plugin: Plugin, name: str) -> Plugin:
        return plugin.bind(name)

    assert len(misfits([bound(Full(), "full"), bound(Nf4(), "a"), bound(Nf4(), "a")])) == 1
