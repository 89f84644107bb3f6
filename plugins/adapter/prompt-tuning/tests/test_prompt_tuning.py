import torch
from harness import tiny_run, train

from ft_adapter_prompt_tuning import adapter as prompt_tuning
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft


def prompt_tuning_run(folder, steps=3, **options):
    plugins = [
        prompt_tuning.bind("prompt-tuning", options),
        adamw.bind("adamw", {"learning_rate": 1e-2}),
        sft.bind("sft", {"steps": steps, "precision": "float32"}),
    ]
    return tiny_run(folder, plugins)


def test_tokens_start_from_the_text(tmp_path, monkeypatch):
    seen = {}

    def from_pretrained(folder, **kwargs):
        seen["folder"] = folder
        return lambda text: {"input_ids": [5, 6, 7]}

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", from_pretrained)
    run = prompt_tuning_run(tmp_path, tokens=4, text="some words")
    (_, learned), *rest = run.trainable()
    assert not rest
    rows = run.load_base().get_input_embeddings().weight[[5, 6, 7, 5]]
    torch.testing.assert_close(learned.detach(), rows.detach())
    assert seen["folder"] == str(run.model_folder)


def test_tokens_stand_in_front(tmp_path):
    run = prompt_tuning_run(tmp_path, tokens=4, steps=10)
    losses = train(run)
    assert losses[-1] < losses[0]
    (_, learned), *_ = run.trainable()
    ids = torch.arange(3, 9)[None]
    base = run.load_base()
    embedded = torch.cat([learned[None], base.get_input_embeddings()(ids)], 1)
    expected = base(inputs_embeds=embedded).logits
    torch.testing.assert_close(run.model.eval()(input_ids=ids).logits, expected)
