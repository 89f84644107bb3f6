"""Save the result: the trained weights in the adapter's form, with tokenizer and template."""

from __future__ import annotations

import shutil
from pathlib import Path

from ft.api import Run
from ft.data.render import has_marks, unmarked
from ft.errors import RunError
from ft.pipeline.folder import RESULT
from ft.training.disk import write_failure


def save_result(run: Run) -> Path:
    """Write ``result/``: weights, tokenizer or processor, and the template that serves them.

    The folder appears only when it is complete.
    """
    target = run.folder / RESULT
    partial = run.folder / f".{RESULT}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        run.hook.ft_finish_model(run=run, model=run.model)
        run.hook.ft_save_model(run=run, model=run.model, folder=partial)
        save_modules(run, partial)
        save_processor(run, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except Exception as error:
        reason = write_failure(error)
        if reason is None:
            raise
        raise RunError(
            f"the result could not be written: {reason}",
            where=str(target),
            hint=f"make room, then run `ft resume {run.folder}`: it only saves again",
        ) from error
    return target


def save_modules(run: Run, folder: Path) -> None:
    """Write each module that trained beside the model as ``<name>.safetensors``."""
    from safetensors.torch import save_file

    for name, module in run.modules.items():
        save_file(module.state_dict(), folder / f"{name}.safetensors")


def save_processor(run: Run, folder: Path) -> None:
    """Write tokenizer or processor with the template in force, its training marks taken out."""
    template = run.part("template")
    own = run.tokenizer.chat_template
    jinja = template.jinja if template is not None else own
    if jinja is not None and has_marks(jinja):
        jinja = unmarked(jinja)
    for holder in (run.tokenizer, run.processor):
        holder.chat_template = jinja
    run.processor.save_pretrained(folder)
    run.tokenizer.chat_template = own
