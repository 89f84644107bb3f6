"""Inference of family, template and format: what is sure is inferred, the rest asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ft.api import Prequantized
from ft.recipe.fit import misfits
from ft.registry.model import Published, PublishedPlugin, Source

GOOD = "model: ./tiny\ndata: train.jsonl\nadapter: lora\ntrainer: sft\n"


def family(resolved):
    setting = resolved.settings["model.family"]
    return setting.value, setting.origin


def test_the_recipes_family_counts_first(world):
    resolved = world.resolve(GOOD, "model={source: ./tiny, family: cautious, careful: false}")
    assert family(resolved) == ("cautious", "the command line")
    assert resolved.selection.one("model").options.careful is False


def test_a_checkpoints_name_counts_before_its_model_type(world):
    world.checkpoint("hub/org/Tiny-1B", model_type="cautious")
    resolved = world.resolve(GOOD, "model=org/Tiny-1B")
    assert family(resolved) == ("tiny", "inferred from the name org/Tiny-1B")


def test_the_name_that_a_configuration_gives_counts(world):
    world.checkpoint("copy", model_type="cautious", _name_or_path="org/Tiny-7B")
    resolved = world.resolve(GOOD, "model=./copy")
    assert family(resolved) == ("tiny", "inferred from the name org/Tiny-7B")


def test_what_nobody_claims_is_loaded_with_a_warning(world):
    world.checkpoint("new", model_type="brand_new")
    resolved = world.resolve(GOOD, "model=./new")
    assert family(resolved) == ("auto", "inferred from no claim of another family")
    assert world.heard.warned == [
        "./new: no installed model plugin claims model_type brand_new; auto loads it, without "
        "knowing its template or its quirks"
    ]


def test_without_a_fallback_the_family_is_asked_for(world):
    world.checkpoint("new", model_type="brand_new")
    world.matches = [match for match in world.matches if match[1] != "*"]
    assert world.error(GOOD, "model=./new") == (
        "the command line: no installed model plugin claims model_type brand_new\n"
        f"  ft plugins suggest {world.folder / 'new'} says which does; or name a family that loads "
        "it: family: auto | cautious | tiny"
    )


def test_two_claims_are_asked_about(world):
    world.matches.append(("model_type", "tiny_llama", "model:cautious"))
    assert world.error(GOOD) == (
        "recipe.yaml:1: cautious and tiny both claim model_type tiny_llama\n"
        "  choose one: family: cautious"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json, so it is no checkpoint that ft can read"),
        ("{", "config.json cannot be read: "),
        ("[]", "config.json holds no JSON object"),
        ("{}", "config.json has no model_type, so the model family is open"),
    ],
)
def test_a_bad_configuration(world, content, message):
    file = world.checkpoint("bad") / "config.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    said = world.error(GOOD, "model=./bad")
    assert said.startswith("the command line: ")
    assert message in said


def test_a_family_needs_no_configuration_where_it_is_named(world):
    (world.checkpoint("bare") / "config.json").unlink()
    assert family(world.resolve(GOOD, "model={source: ./bare, family: tiny}"))[0] == "tiny"


def test_template(world):
    assert world.resolve(GOOD).selection.one("template").name == "chat"
    assert world.resolve(GOOD, "template=other").selection.one("template").name == "other"
    assert world.resolve(GOOD, "template=null").selection.one("template") is None


def test_a_template_that_is_not_installed_leaves_the_checkpoints_own(world):
    world.checkpoint("careful", model_type="cautious")
    resolved = world.resolve(GOOD, "model=./careful")
    assert resolved.selection.one("template") is None
    setting = resolved.settings["template"]
    assert setting.origin == (
        "inferred from model:cautious, whose template absent is not installed"
    )


def test_the_format_that_reads_most_columns_wins(world):
    world.rows("both.jsonl", {"text": "a", "instruction": "b", "output": "c"})
    resolved = world.resolve(GOOD, "data=both.jsonl")
    assert resolved.settings["data.0.format"].value == "alpaca"


def test_a_tie_is_asked_about(world):
    world.rows("tie.jsonl", {"chosen": "a", "rejected": "b", "instruction": "b", "output": "c"})
    assert world.error(GOOD, "data=tie.jsonl") == (
        "the command line: the first row has the columns chosen, rejected, instruction, output, "
        "which alpaca and pairs read equally well\n  name the format: format: alpaca | pairs"
    )


def test_no_format_is_asked_about(world):
    world.rows("odd.jsonl", {"question": "a"})
    assert world.error(GOOD, "data=odd.jsonl") == (
        "the command line: the first row has the columns question, which no installed data "
        "format reads\n  name the format: format: alpaca | pairs | plain"
    )


def test_a_named_format_needs_no_row(world):
    world.rows("odd.jsonl", {"question": "a"})
    resolved = world.resolve(GOOD, "data={path: odd.jsonl, format: alpaca, instruction: question}")
    assert resolved.data[0].dataset.options.instruction == "question"
    assert resolved.settings["data.0.format"].origin == "the command line"


def test_evaluation_data_is_resolved_alike(world):
    resolved = world.resolve(GOOD, "eval_data=train.jsonl")
    assert resolved.eval_data[0].dataset.name == "alpaca"
    assert resolved.settings["eval_data.0.format"].value == "alpaca"


# -- a checkpoint that is quantized already ------------------------------------------------------

TWO_BIT = {"model_type": "tiny_llama", "quantization_config": {"quant_method": "two-bit"}}


@pytest.fixture
def two_bit(world):
    """A checkpoint in two bits, and a quantizer that reads it."""
    world.checkpoint("small", **TWO_BIT)
    world.plugins["quantizer:two-bit"] = Prequantized()
    world.matches.append(("quantization", "two-bit", "quantizer:two-bit"))
    return world


def test_a_quantized_checkpoint_leads_to_its_quantizer(two_bit):
    resolved = two_bit.resolve(GOOD, "model=./small")
    setting = resolved.settings["quantizer.name"]
    assert setting.value == resolved.selection.one("quantizer").name == "two-bit"
    assert setting.origin == "inferred from quant_method two-bit in config.json"
    assert (
        "quantizer: two-bit (inferred from quant_method two-bit in config.json)"
        in two_bit.heard.said
    )
    assert "quantizer.name" not in two_bit.resolve(GOOD).settings  # the plain one beside it


def test_one_inside_of_a_multimodal_configuration_counts(two_bit):
    inner = {"model_type": "tiny_llama", "text_config": TWO_BIT}
    two_bit.checkpoint("inner", **inner)
    assert two_bit.resolve(GOOD, "model=./inner").selection.one("quantizer").name == "two-bit"


def test_a_flag_stands_for_a_method_that_is_not_named(two_bit):
    config = {"load_in_8bit": False, "load_in_2bit": True}
    two_bit.checkpoint("flag", model_type="tiny_llama", quantization_config=config)
    two_bit.matches.append(("quantization", "load_in_2bit", "quantizer:two-bit"))
    assert two_bit.resolve(GOOD, "model=./flag").selection.one("quantizer").name == "two-bit"


def test_the_recipe_may_name_the_same_quantizer(two_bit):
    resolved = two_bit.resolve(GOOD, "model=./small", "quantizer=two-bit")
    assert resolved.settings["quantizer.name"].origin == "the command line"


def test_another_quantizer_is_refused(two_bit):
    assert two_bit.error(GOOD, "model=./small", "quantizer=nf4") == (
        "the command line: the weights of this checkpoint are quantized already (two-bit in "
        "config.json), and quantizer nf4 does not read that\n"
        "  leave quantizer out, or write quantizer: two-bit"
    )


def test_no_quantizer_is_refused(two_bit):
    assert "quantizer is null, and the weights of this checkpoint are quantized" in (
        two_bit.error(GOOD + "quantizer: null\n", "model=./small")
    )


def test_training_quantized_weights_themselves_does_not_fit(two_bit):
    resolved = two_bit.resolve(GOOD, "model=./small", "adapter=full")
    (found,) = misfits(resolved.selection.all())
    assert found.capability == "quantized-base"
    assert "quantizer:two-bit" in found.sentence
    assert "adapter:full" in found.sentence


def test_a_form_that_nothing_reads_names_who_does(world, monkeypatch):
    world.checkpoint("small", **TWO_BIT)
    plugin = PublishedPlugin("quantizer", "two-bit", matches=(("quantization", "two-bit"),))
    listed = Published("ft-quantizer-two-bit", Source("made", "here"), plugins=(plugin,))
    monkeypatch.setattr(
        "ft.registry.read.read_registries", lambda: SimpleNamespace(published=[listed])
    )
    assert world.error(GOOD, "model=./small") == (
        "the command line: the weights of this checkpoint are quantized already (two-bit in "
        "config.json), and no installed quantizer reads that\n"
        "  ft-quantizer-two-bit provides it: ft plugins add quantizer:two-bit"
    )
