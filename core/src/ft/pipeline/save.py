"""Save the result: the trained weights in the adapter's form, with tokenizer and template."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ft.api import Run
from ft.data.render import has_marks, unmarked
from ft.errors import RunError
from ft.pipeline.folder import RESULT
from ft.training.disk import write_failure
from ft.training.evaluate import result_weights


def save_result(run: Run) -> Path:
    """Write ``result/``: weights, tokenizer or processor, and the template that serves them.

    The folder appears only when it is complete. Every process takes part, since divided
    weights are gathered from all of them; the main one writes. Raises :class:`RunError` in all
    of them where the disk is full.
    """
    target = run.folder / RESULT
    partial = run.folder / f".{RESULT}.partial"
    main = run.process.is_main
    failure: Exception | None = None
    try:
        if main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        with result_weights(run):
            run.hook.ft_finish_model(run=run, model=run.model)
            run.hook.ft_save_model(run=run, model=run.model, folder=partial)
            if main:
                save_modules(run, partial)
        if main:
            save_processor(run, partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
    except Exception as error:
        failure = error
    # before anything is raised: the others wait here
    if not run.sum(float(failure is not None)):
        return target
    reason: str | None = "another process of this run failed"
    if failure is not None and (reason := write_failure(failure)) is None:
        raise failure
    raise RunError(
        f"the result could not be written: {reason}",
        where=str(target),
        hint=f"make room, then run `ft resume {run.folder}`: it only saves again",
    ) from failure


def save_modules(run: Run, folder: Path) -> None:
    """Write each module that trained beside the model as ``<name>.safetensors``."""
    from safetensors.torch import save_file

    for name, module in run.modules.items():
        save_file(module.state_dict(), folder / f"{name}.safetensors")


def save_processor(run: Run, folder: Path) -> None:
    """Write tokenizer or processor with the template in force, its training marks taken out."""
    template = run.part("template")
    holders = (run.tokenizer, run.processor)
    own = [getattr(holder, "chat_template", None) for holder in holders]
    if template is not None:
        saved: list[Any] = [template.jinja] * 2
    else:  # a multimodal checkpoint may have it at its processor alone
        saved = [own[0] or own[1], own[1] or own[0]]
    try:
        for holder, jinja in zip(holders, saved, strict=True):
            holder.chat_template = _to_serve(jinja)
        run.processor.save_pretrained(folder)
    finally:
        for holder, jinja in zip(holders, own, strict=True):
            holder.chat_template = jinja


def _to_serve(jinja: Any) -> Any:
    """A template without marks; some checkpoints have several, by name."""
    if isinstance(jinja, Mapping):
        return {name: _to_serve(text) for name, text in jinja.items()}
    return unmarked(jinja) if jinja is not None and has_marks(jinja) else jinja
