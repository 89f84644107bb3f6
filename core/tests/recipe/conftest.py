"""Fake plugins behind a hand-made index, and recipes written into a temporary folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from ft.api import (
    Adapter,
    Capabilities,
    Conversation,
    Dataset,
    DatasetOptions,
    Field,
    Kernel,
    ModelFamily,
    ModelOptions,
    Optimizer,
    Plugin,
    PluginOptions,
    Preference,
    Progress,
    Quantizer,
    Source,
    Template,
    Text,
    Tracker,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.errors import InputError
from ft.plugins.index import Index, MatchEntry, Record
from ft.recipe.read import read_recipe
from ft.recipe.resolve import resolve
from ft.recipe.resolved import Resolved

MODULE = "ft_recipe_test_plugins"


class Local(Source):
    @hookimpl
    def ft_resolve_source(self, source: str) -> Path:
        return Path(source)


class Hub(Source):
    """Serves what lies in ``root`` and notes what was asked for."""

    root = Path()
    asked: list[tuple[str, str]] = []

    @hookimpl
    def ft_resolve_source(self, source: str, what: str) -> Path:
        self.asked.append((source, what))
        if not (self.root / source).exists():
            raise InputError(f"{source} is not on the hub")
        return self.root / source


class Sft(Trainer):
    takes = (Conversation,)
    accepts = Trainer.accepts | {"packing"}
    suggests = {"optimizer": {"name": "adamw", "learning_rate": 2e-4}, "trackers": ["lines"]}


class Dpo(Trainer):
    takes = (Preference,)
    needs = frozenset({"switchable-adapter"})
    suggests = {"optimizer": "adamw"}

    class Options(TrainerOptions):
        beta: float = Field(0.1, gt=0, description="how strongly the reference holds")
        loss: Literal["sigmoid", "ipo"] = Field("sigmoid", description="the form of the loss")


class Lora(Adapter):
    needs = frozenset({"linear-layers"})
    accepts = Adapter.accepts | {"quantized-base"}
    provides = frozenset({"switchable-adapter"})

    class Options(PluginOptions):
        rank: int = Field(16, gt=0, description="inner width of the update")
        alpha: float | None = Field(None, gt=0, description="scale; unset: twice the rank")
        targets: list[str] = Field(default_factory=list, description="modules to adapt")
        patterns: dict[str, int] = Field(default_factory=dict, description="rank by module")


class Full(Adapter):
    pass


class Nf4(Quantizer):
    class Options(PluginOptions):
        double: bool = Field(True, description="quantize the scales too")


class Flash(Kernel):
    provides = frozenset({"attention-kernel"})


class Alpaca(Dataset):
    produces = (Conversation,)

    class Options(DatasetOptions):
        instruction: str = Field("instruction", description="column of the task")


class Pairs(Dataset):
    produces = (Preference,)


class Plain(Dataset):
    produces = (Text,)


class Cautious(ModelFamily):
    """A family with an option of its own, and one whose demands depend on an option."""

    class Options(ModelOptions):
        careful: bool = Field(True, description="take care")

    def capabilities(self) -> Capabilities:
        return super().capabilities()


class MuonOptimizer(Optimizer):
    accepts = frozenset({"data-parallel"})


def _family(*types: str, template: str | None = None) -> ModelFamily:
    return ModelFamily("Test", "nobody", types, templates=template or (), accepts=("packing",))


PLUGINS: dict[str, Plugin] = {
    "source:local": Local(),
    "source:hub": Hub(),
    "model:tiny": _family("tiny_llama", template="chat"),
    "model:cautious": Cautious("Test", "nobody", ("cautious",), templates="absent"),
    "model:auto": _family(),
    "template:chat": Template("{{ messages }}"),
    "template:other": Template("{{ messages }}"),
    "dataset:alpaca": Alpaca(),
    "dataset:pairs": Pairs(),
    "dataset:plain": Plain(),
    "adapter:full": Full(),
    "adapter:lora": Lora(),
    "quantizer:nf4": Nf4(),
    "optimizer:adamw": Optimizer(),
    "optimizer:muon": MuonOptimizer(),
    "trainer:dpo": Dpo(),
    "trainer:sft": Sft(),
    "kernel:flash": Flash(),
    "kernel:flasher": Flash(),
    "tracker:lines": Tracker(),
    "tracker:board": Tracker(),
}
MATCHES = [
    ("scheme", "file", "source:local"),
    ("scheme", "hub", "source:hub"),
    ("model_type", "tiny_llama", "model:tiny"),
    ("model_type", "cautious", "model:cautious"),
    ("model_type", "*", "model:auto"),
    ("checkpoint", "org/Tiny-*", "model:tiny"),
    ("columns", "instruction+output", "dataset:alpaca"),
    ("columns", "chosen+rejected", "dataset:pairs"),
    ("columns", "text", "dataset:plain"),
]


class Heard(Progress):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def warn(self, message: str) -> None:
        self.warned.append(message)


class World:
    """A folder with a recipe, and an index of fake plugins that a test may add to."""

    def __init__(self, folder: Path, module: ModuleType):
        self.folder = folder
        self.module = module
        self.plugins = dict(PLUGINS)
        self.matches = list(MATCHES)
        self.heard = Heard()
        self.hub = Hub()
        self.hub.root = folder / "hub"
        self.hub.asked = []
        self.plugins["source:hub"] = self.hub

    def index(self) -> Index:
        records = []
        for id, plugin in self.plugins.items():
            kind, _, name = id.partition(":")
            distribution, slash, name = name.rpartition("/")
            attribute = f"{kind}_{distribution}_{name}".replace("-", "_")
            setattr(self.module, attribute, plugin)
            records.append(
                Record(
                    kind,
                    name,
                    distribution if slash else f"ft-{kind}-{name}",
                    "1.0",
                    summary=f"the {name} {kind}",
                    value=f"{MODULE}:{attribute}",
                )
            )
        by_id = {record.id: record for record in records}
        matches = [
            MatchEntry(group, key, by_id[id].distribution, by_id[id].value)
            for group, key, id in self.matches
            if id in by_id
        ]
        return Index(records, matches)

    def write(self, text: str, name: str = "recipe.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return Path(name)

    def checkpoint(self, name: str = "tiny", **config: Any) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        config = config or {"model_type": "tiny_llama"}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    def rows(self, name: str, *rows: Mapping[str, Any]) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file

    def resolve(self, text: str, *overrides: str, name: str = "recipe.yaml") -> Resolved:
        recipe = read_recipe(self.write(text, name), overrides)
        return resolve(recipe, self.index(), progress=self.heard, fetch_weights=False)

    def error(self, text: str, *overrides: str) -> str:
        """What is said of a recipe that does not read or resolve."""
        with pytest.raises(InputError) as caught:
            self.resolve(text, *overrides)
        return str(caught.value)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path, module)
    world.checkpoint()
    world.rows("train.jsonl", {"instruction": "Hi", "output": "Hello"})
    world.rows("pairs.jsonl", {"prompt": "Hi", "chosen": "Hello", "rejected": "No"})
    return world


GOOD = """\
model: ./tiny
data: train.jsonl
adapter: lora
trainer: sft
"""


@pytest.fixture
def invoke(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run an ft command over the fake plugins, in the folder of ``world``."""
    from click.testing import CliRunner

    def run(command: Any, *arguments: str) -> Any:
        module = sys.modules[command.callback.__module__]
        if hasattr(module, "installed_index"):
            monkeypatch.setattr(module, "installed_index", world.index)
        return CliRunner().invoke(command, [str(a) for a in arguments])

    return run
