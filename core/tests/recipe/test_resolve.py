"""Resolution: parts, suggestions, options, provenance."""

from __future__ import annotations

import pytest

from ft.api import Adapter, DatasetOptions, PluginOptions, Tracker
from ft.errors import PluginError
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve

HEAD = "model: ./tiny\ndata: train.jsonl\n"
GOOD = HEAD + "adapter: lora\ntrainer: sft\n"


def origins(resolved):
    return {key: setting.origin for key, setting in resolved.settings.items()}


def values(resolved):
    return {key: setting.value for key, setting in resolved.settings.items()}


def test_everything_is_bound(world):
    resolved = world.resolve(GOOD)
    selection = resolved.selection
    assert [plugin.kind for plugin in selection.all()] == [
        "model", "dataset", "template", "adapter", "optimizer", "trainer", "tracker", "source",
    ]  # fmt: skip
    assert selection.one("adapter").options.rank == 16
    assert selection.one("adapter").distribution == "ft-adapter-lora"
    assert resolved.model_folder == world.folder / "tiny"
    assert resolved.data[0].path == world.folder / "train.jsonl"
    assert resolved.data[0].dataset is selection.one("dataset")
    assert str(resolved.output) == "runs/recipe"
    assert resolved.recipe_text == GOOD


def test_provenance(world):
    resolved = world.resolve(GOOD + "optimizer: {weight_decay: 0.1}\n", "seed=7")
    said = origins(resolved)
    assert said["adapter.name"] == "recipe.yaml:3"
    assert said["adapter.rank"] == "default of adapter:lora"
    assert said["optimizer.name"] == "suggested by trainer:sft"
    assert said["optimizer.learning_rate"] == "suggested by trainer:sft"
    assert said["optimizer.weight_decay"] == "recipe.yaml:5"
    assert said["optimizer.schedule"] == "default of optimizer:adamw"
    assert said["trackers.0.name"] == "suggested by trainer:sft"
    assert said["model.family"] == "inferred from model_type tiny_llama in config.json"
    assert said["data.0.format"] == "inferred from the columns instruction, output"
    assert said["data.0.weight"] == "default of ft"
    assert said["template.name"] == "inferred from model:tiny"
    assert said["seed"] == "the command line"
    assert "data.0.format: alpaca (inferred from the columns instruction, output)" in (
        world.heard.said
    )


def test_suggestions_give_way_to_the_recipe(world):
    assert values(world.resolve(GOOD + "optimizer: muon\n"))["optimizer.learning_rate"] == 1e-4
    assert values(world.resolve(GOOD + "optimizer: adamw\n"))["optimizer.learning_rate"] == 2e-4
    resolved = world.resolve(GOOD + "optimizer: null\ntrackers: null\n")
    assert resolved.selection.one("optimizer") is None
    assert resolved.selection.all("tracker") == []
    assert origins(resolved)["optimizer"] == "recipe.yaml:5"


SET = """\
summary = "What we train with"
[options."adapter:lora"]
rank = 4
[options."optimizer:adamw"]
learning_rate = 0.5
[options."optimizer:muon"]
learning_rate = 0.25
"""
OF_THE_SET = "the set set.toml of ft.toml:2"


def test_the_set_of_a_team_gives_defaults(world):
    """They count before what plugins suggest, and the recipe before them; in any mode."""
    (world.folder / "ft.toml").write_text('[env]\nset = "set.toml"\n')
    (world.folder / "set.toml").write_text(SET)
    resolved = world.resolve(GOOD)
    assert (values(resolved)["adapter.rank"], origins(resolved)["adapter.rank"]) == (4, OF_THE_SET)
    assert values(resolved)["optimizer.learning_rate"] == 0.5
    assert origins(resolved)["optimizer.learning_rate"] == OF_THE_SET
    resolved = world.resolve(GOOD + "optimizer: {learning_rate: 0.1}\n", "adapter.rank=8")
    assert values(resolved)["optimizer.learning_rate"] == 0.1
    assert origins(resolved)["adapter.rank"] == "the command line"
    assert values(world.resolve(GOOD + "optimizer: muon\n"))["optimizer.learning_rate"] == 0.25


def test_what_is_wrong_with_a_set_is_told_with_its_place(world):
    (world.folder / "ft.toml").write_text('[env]\nset = "set.toml"\n')
    assert "set.toml: cannot be read" in world.error(GOOD)
    (world.folder / "set.toml").write_text(SET.replace("rank = 4", "rank = 0"))
    assert world.error(GOOD).startswith(f"{OF_THE_SET}: adapter.rank: input should be greater")
    (world.folder / "set.toml").write_text(SET.replace("rank = 4", "ranc = 4"))
    assert world.error(GOOD).startswith(f"{OF_THE_SET}: adapter.ranc")
    (world.folder / "ft.toml").write_text('[env]\nset = "nobodys"\n')
    assert world.error(GOOD).startswith("ft.toml:2: no registry has a set 'nobodys'")


def test_suggested_lists_are_added(world):
    resolved = world.resolve(GOOD + "trackers: board\n")
    assert [t.name for t in resolved.selection.all("tracker")] == ["board", "lines"]
    resolved = world.resolve(GOOD + "trackers: [lines]\n")
    assert [t.name for t in resolved.selection.all("tracker")] == ["lines"]


def test_options_suggested_without_a_name_go_where_they_exist(world):
    class Careful(Adapter):
        suggests = {"trainer": {"packing": True, "beta": 3}, "model": {"dtype": "float32"}}

    world.plugins["adapter:careful"] = Careful()
    found = values(world.resolve(HEAD + "adapter: careful\ntrainer: sft\n"))
    assert found["trainer.packing"] is True
    assert "trainer.beta" not in found
    assert found["model.dtype"] == "float32"


def test_disagreeing_suggestions_are_asked_about(world):
    class Careful(Adapter):
        suggests = {"optimizer": {"name": "adamw", "learning_rate": 1.0}}

    class Muon(Adapter):
        suggests = {"optimizer": "muon"}

    world.plugins |= {"adapter:careful": Careful(), "adapter:muon": Muon()}
    assert world.error(HEAD + "adapter: careful\ntrainer: sft\n") == (
        "recipe.yaml: adapter:careful suggests optimizer.learning_rate: 1.0, and trainer:sft "
        "suggests 0.0002\n"
        "  choose one in the recipe: optimizer: {name: adamw, learning_rate: 0.0002}"
    )
    assert world.error(HEAD + "adapter: muon\ntrainer: sft\n") == (
        "recipe.yaml: adapter:muon suggests optimizer: muon, and trainer:sft suggests "
        "optimizer: adamw\n  choose one in the recipe, such as optimizer: muon"
    )
    text = HEAD + "adapter: careful\ntrainer: sft\noptimizer: {learning_rate: 3}\n"
    assert values(world.resolve(text))["optimizer.learning_rate"] == 3.0


def test_a_suggested_part_must_be_installed(world):
    class Eager(Tracker):
        suggests = {"kernels": ["absent"]}

    world.plugins["tracker:eager"] = Eager()
    assert world.error(GOOD + "trackers: eager\n").startswith(
        "recipe.yaml: tracker:eager suggests kernels: absent, which cannot be used: no kernel "
        "'absent' is installed\n  install it, choose another kernel, or write kernels: null"
    )


def test_suggestions_of_suggested_parts_count(world):
    class Eager(Tracker):
        suggests = {"kernels": "flash"}

    world.plugins["tracker:lines"] = Eager()
    assert world.resolve(GOOD).selection.one("kernel").name == "flash"


def test_a_suggestion_for_no_part_is_the_plugins_fault(world):
    class Odd(Tracker):
        suggests = {"seed": 3}

    world.plugins["tracker:lines"] = Odd()
    with pytest.raises(PluginError, match="tracker:lines: it suggests seed, which is no part"):
        world.resolve(GOOD)


def test_an_option_may_not_hide_a_key_of_the_recipe(world):
    class Hidden(type(world.plugins["dataset:alpaca"])):
        class Options(DatasetOptions):
            rows: str = "rows"

    world.plugins["dataset:alpaca"] = Hidden()
    with pytest.raises(PluginError, match="its option rows is a key of the recipe itself"):
        world.resolve(GOOD)


MESSAGES = {
    "no model": ("data: train.jsonl\n", "recipe.yaml: the recipe has no model\n  add model: org"),
    "no adapter and trainer": (
        HEAD,
        "recipe.yaml: the recipe has no adapter\n  add adapter: full | lora\n"
        "recipe.yaml: the recipe has no trainer\n  add trainer: dpo | sft",
    ),
    "empty data": (
        "model: ./tiny\ndata: []\n",
        "recipe.yaml: the recipe has no data\n  add data: train.jsonl",
    ),
    "unknown plugin": (
        HEAD + "adapter: lore\ntrainer: sft\n",
        "recipe.yaml:3: no adapter 'lore' is installed\n  did you mean lora?",
    ),
    "option out of range": (
        HEAD + "trainer: sft\nadapter:\n  name: lora\n  rank: 0\n",
        "recipe.yaml:6: adapter.rank: input should be greater than 0 (it is 0)",
    ),
    "unknown option": (
        HEAD + "trainer: sft\nadapter: {name: lora, rnak: 8}\n",
        "recipe.yaml:4: adapter.rnak: there is no such option\n  did you mean rank?",
    ),
    "several": (
        HEAD + "trainer: {name: sft, batch_size: 8, micro_batch_size: 3}\n"
        "adapter:\n  name: lora\n  rank: x\n  targets: [1]\n  patterns: {a: b}\n",
        "recipe.yaml:6: adapter.rank: input should be a valid integer, unable to parse string as "
        "an integer (it is 'x')\n"
        "recipe.yaml:7: adapter.targets.0: input should be a valid string (it is 1)\n"
        "recipe.yaml:8: adapter.patterns.a: input should be a valid integer, unable to parse "
        "string as an integer (it is 'b')\n"
        "recipe.yaml:3: trainer: micro_batch_size 3 does not divide batch_size 8",
    ),
    "options without a name": (
        HEAD + "adapter: {rank: 3}\ntrainer: sft\n",
        "recipe.yaml:3: adapter: it has options and no name, and no other part suggests one\n"
        "  add name: full | lora",
    ),
    "list entry without a name": (
        GOOD + "kernels:\n  - flash\n  - {fast: true}\n",
        "recipe.yaml:7: kernels.1: it has options and no name",
    ),
    "missing path": (
        "model: ./tiny\ndata: trian.jsonl\nadapter: lora\ntrainer: sft\n",
        "recipe.yaml:2: trian.jsonl does not exist\n  did you mean train.jsonl?",
    ),
    "missing model folder": (
        "model: ./nothing-like-it\ndata: train.jsonl\n",
        "recipe.yaml:1: ./nothing-like-it does not exist\n  looked in ",
    ),
    "unknown scheme": (
        "model: gopher:x\ndata: train.jsonl\n",
        "recipe.yaml:1: no installed source plugin claims gopher:, which gopher:x needs",
    ),
    "source says no": (
        "model: org/none\ndata: train.jsonl\n",
        "recipe.yaml:1: org/none is not on the hub",
    ),
    "same name twice": (
        "model: ./tiny\ndata:\n- {path: train.jsonl, name: a}\n- {path: train.jsonl, name: a}\n",
        "recipe.yaml:4: data.1.name: another data set is called a\n  give each its own name",
    ),
    "revision of a folder": (
        "model: {source: ./tiny, revision: main}\ndata: train.jsonl\n",
        "recipe.yaml:1: revision main: ./tiny is a local path, which has no revisions",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message(world, case):
    text, message = MESSAGES[case]
    assert world.error(text).startswith(message)


def test_an_override_is_named_as_the_place(world):
    assert world.error(GOOD, "adapter.rank=0").startswith(
        "the command line: adapter.rank: input should be greater than 0"
    )


def test_a_bad_suggested_option_names_who_suggested_it(world):
    class Wrong(Tracker):
        suggests = {"trainer": {"batch_size": 0}}

    world.plugins["tracker:lines"] = Wrong()
    assert world.error(GOOD).startswith(
        "suggested by tracker:lines: trainer.batch_size: input should be greater than 0"
    )


def test_aliased_options_are_written_by_their_alias(world):
    from pydantic import Field

    class Lambda(Adapter):
        class Options(PluginOptions):
            lambda_: float = Field(0.5, gt=0, alias="lambda")

    world.plugins["adapter:lambda"] = Lambda()
    resolved = world.resolve(HEAD + "adapter: {name: lambda, lambda: 2}\ntrainer: sft\n")
    assert values(resolved)["adapter.lambda"] == 2.0
    assert origins(resolved)["adapter.lambda"] == "recipe.yaml:3"


def test_names_of_data_sets_are_unique(world):
    resolved = world.resolve(GOOD, "data=[train.jsonl, {path: train.jsonl, rows: 1}]")
    assert [part.name for part in resolved.data] == ["train", "train-2"]
    assert resolved.data[1].rows == 1


def test_paths_start_from_the_recipe_then_from_the_working_folder(world):
    world.rows("sub/train.jsonl", {"text": "hi"})
    resolved = world.resolve(GOOD, name="sub/recipe.yaml")
    assert resolved.data[0].path == world.folder / "sub/train.jsonl"
    assert resolved.model_folder == world.folder / "tiny"


def test_hub_names_and_revisions(world):
    world.checkpoint("hub/org/Qwen2.5-0.5B")
    world.checkpoint("hub/org/Qwen2.5-0.5B@v1")
    resolved = world.resolve(GOOD, "model=org/Qwen2.5-0.5B")
    assert resolved.source == "org/Qwen2.5-0.5B"
    assert world.hub.asked == [("org/Qwen2.5-0.5B", "config")]
    assert {p.name for p in resolved.selection.all("source")} == {"hub", "local"}
    world.resolve(GOOD, "model={source: org/Qwen2.5-0.5B, revision: v1}")
    assert world.hub.asked[-1] == ("org/Qwen2.5-0.5B@v1", "config")
    recipe = read_recipe(world.write(GOOD), ["model=hub:org/Qwen2.5-0.5B"])
    resolve(recipe, world.index())
    assert world.hub.asked[-1] == ("org/Qwen2.5-0.5B", "model")


def test_two_distributions_with_one_name(world):
    world.plugins["adapter:other/lora"] = world.plugins["adapter:lora"]
    assert world.error(GOOD).startswith("recipe.yaml:3: adapter:lora is claimed by")
    resolved = world.resolve(GOOD, "adapter=other/lora")
    assert resolved.selection.one("adapter").distribution == "other"
    assert values(resolved)["adapter.name"] == "other/lora"


def test_an_evaluation_set_does_not_take_the_name_of_the_split(world):
    world.rows("eval.jsonl", {"text": "hi"})
    resolved = world.resolve(GOOD, "eval_data=eval.jsonl", "eval_split=0.5")
    assert [part.name for part in resolved.eval_data] == ["eval-2"]
    resolved = world.resolve(GOOD, "eval_data=eval.jsonl", "eval_split=null")
    assert [part.name for part in resolved.eval_data] == ["eval"]
