"""What a run says of itself on the way, through the command line."""

from __future__ import annotations

from pathlib import Path

SOUND = {"steps": 6, "save_every": 2, "keep_checkpoints": 9}


def test_answers_are_sampled_and_repetition_is_told(
    ft, recipe, checkpoint, write_rows, conversation
):
    rows = [conversation(f"Sing {what}.", "la " * 60) for what in "abcdefgh"]
    path = recipe(
        model=checkpoint("llama"),
        data=write_rows(rows),
        eval_split=2,
        adapter={"name": "full"},
        engine="transformers",
        trainer={"eval_every": 2, "sample_every": 2, **SOUND},
        optimizer={"learning_rate": 3e-2},
    )
    done = ft("train", path)
    assert done.code == 0, done.err
    # of the evaluations at steps 2, 4 and 6 the first and the last, two prompts each
    assert done.err.count("asked   ") == done.err.count("answer  ") == 4
    assert "step 6: 2 of 2 sampled answers repeat themselves" in done.err

    done = ft("train", path, "trainer.guards=stop", "output=stopped")
    assert done.code == 1
    assert "error: step 2: 2 of 2 sampled answers repeat themselves" in done.err
    assert "no checkpoint is from before" in done.err


def test_sampling_needs_an_engine_and_prompts(ft, recipe, checkpoint, chat_rows):
    path = recipe(model=checkpoint("llama"), data=chat_rows, trainer={"sample_every": 1})
    done = ft("train", path)
    assert done.code == 2
    assert "no engine is selected" in done.err
    done = ft("train", path, "engine=transformers")
    assert done.code == 2
    assert "answers prompts of the evaluation data, and there are none" in done.err
    assert not Path("run").exists()


def test_resuming_from_an_earlier_step_at_another_rate(ft, recipe, checkpoint, chat_rows, metrics):
    path = recipe(model=checkpoint("llama"), data=chat_rows, trainer=SOUND)
    assert ft("train", path).code == 0
    before = metrics(Path("run"))
    done = ft("resume", "run", "--step", "3")
    assert done.code == 2
    assert "it has those of steps 2, 4, 6" in done.err
    done = ft("resume", "run", "adapter.rank=8")
    assert done.code == 2
    assert "adapter.rank cannot change while a run goes on" in done.err

    done = ft("resume", "run", "--step", "2", "optimizer.learning_rate=1e-4")
    assert done.code == 0, done.err
    after = metrics(Path("run"))
    assert [line["loss"] for line in after[:3]] == [line["loss"] for line in before[:3]]
    assert [line["step"] for line in after] == [1, 2, 3, 4, 5, 6]
    for old, new in zip(before[2:], after[2:], strict=True):
        assert abs(new["learning_rate"] - old["learning_rate"] / 10) < 1e-9
    assert after[-1]["loss"] != before[-1]["loss"]
    names = {entry.name for entry in Path("run", "checkpoints").iterdir()}
    assert {"step-000002", "left-step-000004", "left-step-000006", "step-000006"} <= names
    assert "learning_rate: 0.0001 " in Path("run", "resolved.yaml").read_text()
    assert "learning_rate: 0.001 " in Path("run", "resolved-until-step-000002.yaml").read_text()
    assert ft("resume", "run").code == 0  # its result is only written again


def test_the_best_weights_are_the_result(ft, recipe, checkpoint, chat_rows, metrics):
    path = recipe(
        model=checkpoint("llama"),
        data=chat_rows,
        eval_split=2,
        trainer={"eval_every": 1, "steps": 8, "load_best": True, "early_stopping": {"patience": 2}},
        optimizer={"learning_rate": 0.3},  # so high that the second step is worse than the first
    )
    done = ft("train", path)
    assert done.code == 0, done.err
    losses = {m["step"]: m["eval/loss"] for m in metrics(Path("run")) if "eval/loss" in m}
    best = min(losses, key=losses.get)
    assert len(losses) == best + 2 < 8
    assert f"the result has the weights of step {best}" in done.err
    from safetensors.torch import load_file

    saved = load_file(Path("run", "checkpoints", f"step-{best:06d}", "model.safetensors"))
    result = load_file(Path("run", "result", "adapter_model.safetensors"))
    assert {t.double().sum().item() for t in saved.values()} == {
        t.double().sum().item() for t in result.values()
    }


def test_rows_that_were_rendered_before_are_refused(ft, recipe, checkpoint, write_rows):
    text = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]}
    ]
    path = recipe(model=checkpoint("llama"), data=write_rows(rows * 4))
    done = ft("train", path)
    assert done.code == 2
    assert "rows.jsonl row 1: 4 of the first 4 rows have control tokens" in done.err


def test_too_many_long_rows_are_refused(ft, recipe, checkpoint, write_rows, conversation):
    rows = [conversation("Count.", "one two three " * n) for n in range(1, 21)]
    path = recipe(
        model=checkpoint("llama"), data=write_rows(rows), trainer={"max_length": 50, "steps": 1}
    )
    done = ft("train", path)
    assert done.code == 2
    assert "are longer than trainer.max_length, 50, and would be cut or dropped" in done.err
    assert "holds 99 %" in done.err
    assert ft("train", path, "trainer.max_cut=1").code == 0
