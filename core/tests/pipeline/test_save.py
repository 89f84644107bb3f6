"""What lies beside the weights of a result."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from harness import changed, tiny_run, weights

from ft.api import Optimizer, Process, RunError, hookimpl
from ft.pipeline.save import save_processor, save_result
from ft_adapter_full import adapter as full

MARKED = "{% generation %}a{% endgeneration %}"


class Holder:
    def __init__(self, chat_template):
        self.chat_template = chat_template

    def save_pretrained(self, folder):
        self.saved = self.chat_template


@pytest.mark.parametrize(
    ("tokenizer", "processor", "saved"),
    [
        (MARKED, MARKED, "{# #}a{# #}"),
        ({"default": MARKED, "tool_use": "b"}, None, {"default": "{# #}a{# #}", "tool_use": "b"}),
        (None, "p", "p"),
        (None, None, None),
    ],
    ids=["marked", "several by name", "the processor's alone", "none"],
)
def test_the_checkpoints_own_template_is_saved(tmp_path, tokenizer, processor, saved):
    run = SimpleNamespace(
        tokenizer=Holder(tokenizer), processor=Holder(processor), part=lambda kind: None
    )
    save_processor(run, tmp_path)
    assert run.processor.saved == saved
    assert (run.tokenizer.chat_template, run.processor.chat_template) == (tokenizer, processor)


def test_every_process_finishes_and_one_writes(tmp_path, monkeypatch):
    run = tiny_run(tmp_path, [full.bind("full")])
    called = []
    seen = SimpleNamespace(
        ft_finish_model=lambda **_: called.append("finish"),
        ft_save_model=lambda **_: called.append("save"),
        ft_result_weights=lambda **_: None,
        ft_sum=lambda run, value: value,
    )
    monkeypatch.setattr(type(run), "hook", seen)
    run.process = Process(1, 2)
    save_result(run)
    assert called == ["finish", "save"]
    assert not (run.folder / "result").exists()


def test_a_failure_elsewhere_is_told_here(tmp_path, monkeypatch):
    run = tiny_run(tmp_path, [full.bind("full")])
    monkeypatch.setattr(type(run), "sum", lambda self, value: value + 1)
    run.process = Process(1, 2)
    with pytest.raises(RunError, match="another process of this run failed"):
        save_result(run)


def test_core_writes_in_the_main_process_only(tmp_path):
    run = tiny_run(tmp_path, [full.bind("full")])
    run.process = Process(1, 2)
    run.hook.ft_save_model(run=run, model=run.model, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Averages(Optimizer):
    """Counts other weights than it trains: zeros, in the place of an average."""

    @hookimpl
    @contextmanager
    def ft_result_weights(self, model):
        trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        model.load_state_dict({name: 0 * tensor for name, tensor in trained.items()})
        yield
        model.load_state_dict(trained)


def test_the_result_has_the_weights_that_count(tmp_path):
    run = tiny_run(tmp_path, [full.bind("full"), Averages().bind("averages")])
    run.tokenizer = run.processor = Holder(None)
    before = weights(run)
    folder = save_result(run)
    assert not changed(run, before)
    assert not any(p.any() for p in run.load_base(folder).parameters())
