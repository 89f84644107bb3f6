"""A run with a format, a trainer and a tokenizer small enough to reckon with by hand."""

from types import SimpleNamespace

import pytest

from ft.api import (
    Conversation,
    Dataset,
    DatasetOptions,
    Encoded,
    Message,
    Part,
    Preference,
    Progress,
    Prompt,
    RowError,
    Run,
    Trainer,
    hookimpl,
)
from ft.pipeline.defaults import DEFAULTS
from ft.plugins.selection import Selection
from ft.recipe.resolved import DataPart


class Letters:
    """A tokenizer: one token for each character."""

    pad_token_id = 0
    eos_token_id = 1
    chat_template = None

    def decode(self, ids):
        return "".join(map(chr, ids))


def letters(text, trained):
    """``trained`` is the length of the answer at the end of ``text``."""
    weights = [0.0] * (len(text) - trained) + [1.0] * trained
    return Encoded([ord(c) for c in text], weights)


class Format(Dataset):
    """Rows {q, a}; ``a`` may be missing (a prompt) or a pair (a preference)."""

    Options = DatasetOptions

    @hookimpl
    def ft_align_row(self, row):
        question = [Message("user", row["q"])]
        if "images" in row:
            question[0].content = [Part("image", source=source) for source in row["images"]]
        if "break" in row:
            raise KeyError(row["break"])
        if not isinstance(row["q"], (str, list)):
            raise RowError("is no text", field="q")
        answers = row.get("a")
        if answers is None:
            return Prompt(messages=question)
        if isinstance(answers, list):
            chosen, rejected = ([Message("assistant", a)] for a in answers)
            return Preference(prompt=question, chosen=chosen, rejected=rejected)
        return Conversation(messages=[*question, Message("assistant", answers)], extra=row)


class Teacher(Trainer):
    takes = (Conversation, Preference, Prompt)

    def __init__(self):
        self.batches = []

    @hookimpl
    def ft_encode(self, examples):
        self.batches.append(len(examples))
        return [self._encode(e) for e in examples if e.extra.get("lose") is None]

    def _encode(self, example):
        if isinstance(example, Prompt):
            return letters(example.messages[0].content, 0)
        if isinstance(example, Preference):
            question = example.prompt[0].content
            sides = {"chosen": example.chosen, "rejected": example.rejected}
            return {
                name: letters(question + turns[0].content, len(turns[0].content))
                for name, turns in sides.items()
            } | {"margin": 1.5}
        question, answer = (message.content for message in example.messages)
        return letters(question + answer, len(answer))


class Notes(Progress):
    def __init__(self):
        self.warnings = []
        self.done = 0

    def warn(self, message):
        self.warnings.append(message)

    def track(self, label, total, unit=""):
        def advance(amount):
            self.done += amount

        return advance


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("FT_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def make_run(tmp_path):
    model = tmp_path / "model"
    model.mkdir()

    def make(**options):
        trainer, dataset = Teacher().bind("teacher", options), Format().bind("format")
        run = Run(Selection([trainer, dataset], DEFAULTS), folder=tmp_path, progress=Notes())
        run.tokenizer = Letters()
        run.model_folder = model
        run.device = SimpleNamespace(type="cpu")
        run.config = SimpleNamespace(_attn_implementation="sdpa")
        return run

    return make


@pytest.fixture
def part():
    def make(run, path, **settings):
        return DataPart(
            source=path.name, path=path, dataset=run.part("dataset"), name=path.stem, **settings
        )

    return make
