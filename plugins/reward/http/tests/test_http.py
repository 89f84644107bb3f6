import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ft.api import Conversation, InputError, Message
from ft.conformance.bench import Told
from ft_reward_http import reward


class Service(BaseHTTPRequestHandler):
    """Scores an answer by its length; misbehaves where its path says so."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((body, self.headers.get("Authorization")))
        first = len(self.server.seen) == 1
        if self.path == "/slow" and first:
            time.sleep(0.4)
        status = {"/down": 503 if first else 200, "/wrong": 404}.get(self.path, 200)
        scores = [len(a["messages"][-1]["content"]) * a["row"]["factor"] for a in body["answers"]]
        if self.path == "/short":
            scores.pop()
        with suppress(BrokenPipeError):  # who asked has given up by now
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"scores": scores}).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.seen = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(service, path, texts=("a", "bb", "ccc"), **options):
    url = f"http://127.0.0.1:{service.server_port}/{path}"
    plugin = reward.bind("http", {"url": url, "pause": 0, **options})
    run = SimpleNamespace(progress=Told())
    asked = [Conversation([Message("user", "?"), Message("assistant", text)]) for text in texts]
    scores = plugin.ft_score(run=run, conversations=asked, extras=[{"factor": 2}] * len(asked))
    return scores, run.progress.lines


def test_batches_come_back_in_order(service, monkeypatch):
    monkeypatch.setenv("KEY", "secret")
    texts = ["x" * n for n in range(7)]
    scores, told = ask(service, "ok", texts, batch_size=2, key_variable="KEY")
    assert scores == [0, 2, 4, 6, 8, 10, 12]
    assert not told
    assert len(service.seen) == 4
    assert {key for _, key in service.seen} == {"Bearer secret"}


@pytest.mark.parametrize("path", ["down", "slow"])
def test_a_failure_is_tried_again(service, path):
    assert ask(service, path, timeout=0.2) == ([2, 4, 6], [])
    assert len(service.seen) == 2


@pytest.mark.parametrize(
    ("path", "said", "requests"),
    [("wrong", "status 404", 1), ("short", "2 scores for 3 answers", 3)],
)
def test_what_cannot_be_scored_is_told_of(service, path, said, requests):
    scores, (told,) = ask(service, path)
    assert scores == [None] * 3
    assert said in told
    assert len(service.seen) == requests


def test_a_key_that_is_not_there_is_missed_at_the_start(monkeypatch):
    monkeypatch.delenv("KEY", raising=False)
    plugin = reward.bind("http", {"url": "http://localhost", "key_variable": "KEY"})
    with pytest.raises(InputError, match="KEY is not set"):
        plugin.ft_start_process()
