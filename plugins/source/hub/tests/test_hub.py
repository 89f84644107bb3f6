from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from ft.api import InputError, Progress, Run
from ft.plugins.selection import Selection
from ft_source_hub import source


class Bars(Progress):
    def __init__(self):
        self.done = 0

    def track(self, label, total, unit=""):
        def advance(amount):
            self.done += amount

        return advance


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with one repository; ``asked`` is what was asked of it."""
    state = SimpleNamespace(
        files=["config.json", "model.safetensors", "pytorch_model.bin"], asked=None, error=None
    )

    def download(repo, **asked):
        if state.error:
            raise state.error
        state.asked = {"repo": repo, **asked}
        with asked["tqdm_class"](total=10, desc="files") as bar:
            bar.update(4)
            bar.update(6)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(
        huggingface_hub.HfApi, "list_repo_files", lambda self, repo, revision: state.files
    )
    return state


def resolve(text, what="model", progress=None):
    run = Run(Selection([]), folder=Path(), progress=progress)
    return source.ft_resolve_source(run, text, what)


def test_safetensors_are_enough(hub, tmp_path):
    assert resolve("org/name") == tmp_path
    assert hub.asked["revision"] is None
    assert {"*.bin", "original/*", "*.gguf"} <= set(hub.asked["ignore_patterns"])


def test_pickled_weights_where_there_are_no_others(hub):
    hub.files = ["config.json", "pytorch_model.bin"]
    resolve("org/name")
    assert "*.bin" not in hub.asked["ignore_patterns"]


def test_revision(hub):
    resolve("org/name@v1.0")
    assert (hub.asked["repo"], hub.asked["revision"]) == ("org/name", "v1.0")


@pytest.mark.parametrize("text", ["org/name", "org/name@v1.0"])
def test_what_is_no_commit_needs_leave(hub, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("ft.toml").write_text('[plugins]\nmode = "curated"\n')
    with pytest.raises(InputError, match="which is no commit, needs leave"):
        resolve(text)
    assert hub.asked is None
    resolve(f"org/name@{'0a' * 20}")
    Path("ft.toml").write_text('[plugins]\nmode = "curated"\ngrants = ["unpinned-revisions"]\n')
    resolve(text)


def test_config_comes_without_weights(hub):
    resolve("org/name", "config")
    assert "*.json" in hub.asked["allow_patterns"]
    assert not any("safetensors" in pattern for pattern in hub.asked["allow_patterns"])


def test_data(hub):
    resolve("org/name", "data")
    assert hub.asked["repo_type"] == "dataset"
    assert hub.asked["ignore_patterns"] is None


def test_progress(hub):
    bars = Bars()
    resolve("org/name", progress=bars)
    assert bars.done == 10


RESPONSE = SimpleNamespace(headers={}, request=None, status_code=404)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (errors.RepositoryNotFoundError("no", response=RESPONSE), "spelling"),
        (errors.GatedRepoError("no", response=RESPONSE), "terms"),
        (errors.RevisionNotFoundError("no", response=RESPONSE), "revision"),
        (errors.LocalEntryNotFoundError("no"), "network"),
        (errors.OfflineModeIsEnabled("no"), "network"),
        (errors.HFValidationError("no"), "org/name"),
        (OSError("disk full"), "again"),
    ],
)
def test_every_failure_says_what_to_do(hub, error, hint):
    hub.error = error
    with pytest.raises(InputError) as caught:
        resolve("org/name@v1")
    assert caught.value.where == "hub:org/name@v1"
    assert hint in caught.value.hint
