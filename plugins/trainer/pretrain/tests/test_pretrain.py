from harness import tiny_run
from tiny import write_tiny

from ft.api import Text
from ft.data.prepare import encode_examples
from ft.pipeline.data import Packs
from ft_adapter_full import adapter as full
from ft_model_llama import family
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_pretrain import trainer as pretrain

TEXTS = [
    Text(text="Paris is the capital of France, and Berlin that of Germany. " * n) for n in (1, 3)
]


def pretrain_run(folder, **options):
    write_tiny(folder / "model", "llama", "llama")
    plugins = [
        full.bind("full"),
        adamw.bind("adamw", {"learning_rate": 3e-3}),
        pretrain.bind("pretrain", {"steps": 20, "precision": "float32", **options}),
    ]
    return tiny_run(
        folder,
        plugins,
        family=family,
        rows=lambda run: Packs(encode_examples(run, TEXTS), run.part("trainer").options.max_length),
    )


def test_every_token_but_the_first_is_trained_and_an_end_closes_the_text(tmp_path):
    run = pretrain_run(tmp_path, max_length=512)
    document = run.data[0][0]
    assert document.input_ids[-1] == run.tokenizer.eos_token_id
    assert set(document.weights) == {1.0}


def test_long_documents_are_split_and_packed(tmp_path):
    run = pretrain_run(tmp_path, max_length=16)
    assert max(run.data.lengths) <= 16
    whole = sum(len(ids) for ids in run.tokenizer([t.text for t in TEXTS])["input_ids"])
    trained = sum(len(document) - 1 for pack in run.data for document in pack)
    # an end is added to each text, and the first token of each is not trained on
    assert trained == whole
