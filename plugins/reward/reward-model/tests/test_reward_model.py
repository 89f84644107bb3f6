from pathlib import Path

import pytest
import torch
from harness import save, train
from online import online_run
from safetensors.torch import load_file, save_file

from ft.api import Conversation, InputError, Message
from ft.recipe.fit import misfits
from ft_adapter_full import adapter as full
from ft_adapter_lora import adapter as lora
from ft_reward_reward_model import reward
from ft_reward_reward_model.sample import tiny_judge
from ft_trainer_ppo import trainer as ppo

ANSWERS = ("A small model.", "Paris, which lies in France, on the Seine.", "")
ASKED = [Conversation([Message("user", "Who?"), Message("assistant", text)]) for text in ANSWERS]


def score(run):
    return run.score(ASKED, ASKED)["reward-model"]


def test_a_classifier_scores_as_transformers_does(tmp_path):
    judge = tiny_judge(tmp_path / "judge")
    plugin = reward.bind("reward-model", {"model": judge})
    options = {"value": "head"}
    run = online_run(tmp_path, ppo, options, rewards=[plugin], adapter=full.bind("full"))
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(judge).eval()
    tokenizer = AutoTokenizer.from_pretrained(judge)
    for conversation, found in zip(ASKED, score(run), strict=True):
        messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            assert found == pytest.approx(float(model(**ids).logits), abs=1e-5)


def test_a_classifier_of_several_labels_is_refused(tmp_path):
    import json

    judge = Path(tiny_judge(tmp_path / "judge"))
    config = json.loads((judge / "config.json").read_text())
    config["id2label"] = {"0": "bad", "1": "good"}
    (judge / "config.json").write_text(json.dumps(config))
    plugin = reward.bind("reward-model", {"model": str(judge)})
    # weights of one label: read before what the configuration says is looked at
    with pytest.raises(InputError):
        online_run(tmp_path, ppo, {"value": "head"}, rewards=[plugin])


@pytest.fixture
def judged(tmp_path):
    """A finished run: an adapter away from its base, and a head."""
    run = online_run(tmp_path, ppo, adapter=lora.bind("lora", {"rank": 2}), rewards=[])
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in run.trainable():
            if ".default." in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    folder = tmp_path / "judged"
    run.folder = folder
    folder.mkdir()
    result = save(run)
    save_file({"weight": torch.randn(1, run.config.hidden_size)}, result / "score.safetensors")
    return folder


def test_the_judge_shares_the_base(tmp_path, judged):
    plugin = reward.bind("reward-model", {"model": str(judged), "share_base": True})
    adapter = lora.bind("lora", {"rank": 2})
    run = online_run(tmp_path, ppo, {"steps": 2, "updates": 1}, adapter=adapter, rewards=[plugin])
    before = score(run)
    # worked out from the saved adapter and head alone
    from peft import PeftModel

    model = PeftModel.from_pretrained(run.load_base(), judged / "result").eval()
    (head,) = load_file(judged / "result" / "score.safetensors").values()
    for conversation, found in zip(ASKED, before, strict=True):
        (row,) = run.tokenize([run.render(conversation)])
        ids = torch.tensor([list(row.input_ids)])
        with torch.no_grad():
            hidden = model(input_ids=ids, output_hidden_states=True).hidden_states[-1][0]
        last = int((ids[0] != run.pad_id).nonzero().max())
        assert found == pytest.approx(float(hidden[last] @ head[0]), abs=1e-4)
    train(run)
    assert score(run) == pytest.approx(before, abs=1e-6)  # the policy moved, the judge did not


def test_a_folder_without_a_head_says_so(tmp_path, judged):
    (judged / "result" / "score.safetensors").unlink()
    plugin = reward.bind("reward-model", {"model": str(judged), "share_base": True})
    adapter = lora.bind("lora", {"rank": 2})
    with pytest.raises(InputError, match=r"no score\.safetensors"):
        online_run(tmp_path, ppo, adapter=adapter, rewards=[plugin])


def test_sharing_needs_an_adapter_that_is_switched():
    plugin = reward.bind("reward-model", {"model": "x", "share_base": True})
    found = misfits([plugin, full.bind("full")])
    assert "switchable-adapter" in {misfit.capability for misfit in found}
