import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log

import pytest
import torch
from harness import assert_resumes, train
from online import online_run
from tiny import write_tiny

from ft.api import Conversation, InputError, Message, RunError
from ft_adapter_lora import adapter as lora
from ft_trainer_distill import divergence, top_and_rest
from ft_trainer_distill import trainer as distill

LESSONS = [
    Conversation([Message("user", text), Message("assistant", answer)])
    for text, answer in (("Say three.", "Three."), ("Who are you?", "I am a small model."))
]
P, Q = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.2, 0.2, 0.6]])


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("forward_kl", (P * (P / Q).log()).sum()),
        ("reverse_kl", (Q * (Q / P).log()).sum()),
    ],
)
def test_divergences(which, expected):
    torch.testing.assert_close(divergence(P.log(), Q.log(), which), expected[None])


@pytest.mark.parametrize("mix", [0.1, 0.5, 0.9])
def test_the_generalized_js_divergence(mix):
    mixture = mix * P + (1 - mix) * Q
    expected = mix * (P * (P / mixture).log()).sum() + (1 - mix) * (Q * (Q / mixture).log()).sum()
    torch.testing.assert_close(divergence(P.log(), Q.log(), "js", mix), expected[None])


def test_what_is_not_among_the_likeliest_is_one_token():
    known = torch.tensor([[True, True], [True, False]])
    found = top_and_rest(torch.tensor([[0.5, 0.3], [0.9, 1.0]]).log(), known).exp()
    torch.testing.assert_close(found[:, [0, 2]], torch.tensor([[0.5, 0.2], [0.9, 0.1]]))


def teacher_of(folder):
    """A checkpoint with the student's tokenizer and other weights."""
    write_tiny(folder / "model", "smollm2", "llama")
    teacher = write_tiny(folder / "teacher", "smollm2", "llama")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(teacher)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(teacher)
    return teacher


def make(folder, teacher=None, examples=LESSONS, adapter=None, **options):
    given = {"teacher": str(teacher) if teacher else None, "batch_size": 2, **options}
    return online_run(folder, distill, given, rewards=[], adapter=adapter, examples=examples)


def test_a_student_comes_to_say_what_its_teacher_says(tmp_path):
    run = make(tmp_path, teacher_of(tmp_path), ce_weight=0.0, steps=20)
    train(run)
    apart = [line["divergence"] for line in run.state.history]
    assert apart[-1] < 0.3 * apart[0]
    assert not any(p.requires_grad for p in run.part("trainer").teacher.model.parameters())


def test_the_loss_is_that_of_the_formula(tmp_path):
    """By hand, from the logits of both models, with a temperature."""
    run = make(tmp_path, teacher_of(tmp_path), ce_weight=0.25, temperature=2.0, packing=False)
    trainer, batch = run.part("trainer"), run.collate(list(run.data))
    with torch.no_grad():
        found = trainer.ft_compute_loss(run, run.model, batch)
        given = {k: batch[k] for k in ("input_ids", "attention_mask")}
        own, teacher = (m(**given).logits[:, :-1] for m in (run.model, trainer.teacher.model))
    kl = torch.nn.functional.kl_div(
        (own / 2).log_softmax(-1), (teacher / 2).log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    targets = batch["input_ids"][:, 1:]
    ce = -own.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    weights = batch["weights"][:, 1:]
    expected = ((0.75 * 4 * kl + 0.25 * ce) * weights).sum()
    torch.testing.assert_close(found.total, expected, atol=1e-4, rtol=1e-5)


def test_stored_tokens_teach_what_is_known_of_the_teacher(tmp_path):
    """The three likeliest tokens, and all others as one."""
    run = make(tmp_path, teacher_of(tmp_path))
    batch = run.collate(list(run.data))
    trainer = run.part("trainer")
    with torch.no_grad():
        teacher = trainer.teacher_logits(run, run.model, batch)[:, : len(run.tokenizer)]
        student = run.token_losses(run.model, batch).outputs.logits.log_softmax(-1)
    values, ids = teacher.log_softmax(-1).topk(3)
    p, q = values.exp(), student.reshape(len(ids), -1).gather(-1, ids).exp()
    rest = [1 - one.sum(-1) for one in (p, q)]
    expected = (p * (p / q).log()).sum(-1) + rest[0] * (rest[0] / rest[1]).log()
    counts = (batch["weights"] > 0).sum(-1).tolist()
    lessons = [
        Conversation(lesson.messages, extra={"top_ids": some, "top_log_probs": said})
        for lesson, some, said in zip(
            LESSONS,
            [part.tolist() for part in ids.split(counts)],
            [part.tolist() for part in values.split(counts)],
            strict=True,
        )
    ]
    stored = make(tmp_path, examples=lessons, stored=True, ce_weight=0.0, steps=1)
    found = stored.part("trainer").ft_compute_loss(
        stored, stored.model, stored.collate(list(stored.data))
    )
    torch.testing.assert_close(found.total, expected.sum(), atol=1e-4, rtol=1e-4)
    train(stored)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({}, "top_ids is no list of lists"),
        ({"top_ids": [[1]], "top_log_probs": [[-1.0]]}, "has 1 entries"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path, extra, said):
    lesson = Conversation(LESSONS[0].messages, extra=extra)
    with pytest.raises(InputError, match=said):
        make(tmp_path, examples=[lesson], stored=True)


def test_a_teacher_with_another_vocabulary_is_refused_unloaded(tmp_path):
    teacher = teacher_of(tmp_path)
    from transformers import AutoTokenizer

    (teacher / "model.safetensors").write_text("not read")
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(teacher)
    with pytest.raises(InputError, match="another vocabulary") as error:
        make(tmp_path, teacher)
    assert "'<new>'" in str(error.value)


def test_it_resumes_beside_its_start(tmp_path):
    assert_resumes(lambda: make(tmp_path, adapter=lora.bind("lora", {"rank": 2})), 2)


def test_stored_and_a_teacher_are_two():
    with pytest.raises(ValueError, match="two teachers"):
        distill.bind("distill", {"stored": True, "teacher": "x"})


# -- a teacher behind an API -----------------------------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """Says of each token that it is the likeliest, and its successor half as likely."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked))
        status = self.server.answers.pop(0) if self.server.answers else 200
        places = [None] + [
            {str(i): {"logprob": log(0.6)}, str(i + 1): {"logprob": log(0.3)}}
            for i in asked["prompt"][1:]
        ]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{"prompt_logprobs": places}]}).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.asked, server.answers = [], []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def served(folder, api, **options):
    url = f"http://127.0.0.1:{api.server_port}/v1"
    service = {"url": url, "model": "teacher", "top": 2, "pause": 0, **options}
    return make(folder, service=service, ce_weight=0.0, steps=1)


def test_a_teacher_behind_an_api_is_asked_for_each_trained_token(tmp_path, api):
    api.answers = [503]
    run = served(tmp_path, api)
    assert {path for path, _ in api.asked} == {"/v1/completions"}
    assert len(api.asked) == 3  # one of two rows was asked again
    for row in run.data:
        trained = [
            i for i, w in zip(row["tokens"].input_ids, row["tokens"].weights, strict=True) if w > 0
        ]
        assert [place[0][0] for place in row["top"]] == trained
        assert [place[1] for place in row["top"]] == [(i + 1, log(0.3)) for i in trained]
    train(run)


def test_a_service_that_refuses_is_named(tmp_path, api):
    api.answers = [404] * 9
    with pytest.raises(RunError, match="status 404"):
        served(tmp_path, api)
