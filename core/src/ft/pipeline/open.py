"""Open a finished run, or a bare model, to talk to it, export it or look inside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pydantic

from ft.api import InputError, Plugin, PluginError, Progress, Run
from ft.pipeline.defaults import DEFAULTS
from ft.pipeline.folder import RESOLVED, RESULT
from ft.pipeline.load import load_config, load_processor, settle_template
from ft.pipeline.run import start, start_process
from ft.plugins.index import Index
from ft.plugins.load import load
from ft.plugins.policy import read_policy
from ft.plugins.selection import Selection
from ft.recipe.document import Node
from ft.recipe.keys import MODEL, option_fields
from ft.recipe.override import apply_override
from ft.recipe.problems import Problems
from ft.recipe.read import Recipe, read_recipe
from ft.recipe.resolve import resolve

MODEL_KEYS = frozenset({"model", "template", "adapter", "quantizer", "kernels", "seed", "device"})
"""The keys of a recipe that decide what a trained model is."""


def choose_plugin(index: Index, kind: str, name: str | None, options: Sequence[str] = ()) -> Plugin:
    """The plugin of ``kind`` that is called ``name``; without one the only one installed, or of
    several the one that says of itself that it is usual.

    ``options`` are ``option=value`` as on the command line; the set that ft.toml names gives
    defaults.
    """
    if name is None:
        names = sorted(r.name for r in index.records if r.kind == kind and r.state == "ok")
        usual = names if len(names) < 2 else [n for n in names if _is_usual(index, kind, n)]
        if len(usual) != 1:
            raise InputError(
                f"no {kind} is installed" if not names else f"several {kind} plugins are installed",
                hint=f"choose one of: {', '.join(names)}" if names else f"install one: ft-{kind}-…",
            )
        name = usual[0]
    record = index.find(kind, name)
    plugin = load(record)
    defaults, origin = read_policy().defaults()
    written = Node.of({kind: defaults.get(record.id, {})}, origin)
    for option in options:
        apply_override(written, f"{kind}.{option}")
    problems = Problems(lambda key: list(written.walk(key))[-1].place or "the command line")
    try:
        return plugin.bind(record.name, written.plain()[kind], distribution=record.distribution)
    except pydantic.ValidationError as error:
        fields = option_fields(type(plugin).Options)
        problems.add_invalid((kind,), written.value[kind], error, fields)
        problems.raise_any()
        raise


def _is_usual(index: Index, kind: str, name: str) -> bool:
    try:
        return bool(getattr(load(index.find(kind, name)), "usual", False))
    except PluginError:  # nobody asked for it
        return False


def open_run(
    where: str,
    index: Index,
    progress: Progress,
    plugins: Sequence[Plugin] = (),
    *,
    leave_out: Collection[str] = (),
    overrides: Sequence[str] = (),
    device: str | None = None,
    beside: Run | None = None,
) -> Run:
    """A run folder, or a model as a recipe would name it, with configuration and processor.

    ``plugins`` are selected beside those of the recipe; ``leave_out`` are keys of the recipe
    that are ignored, such as a quantizer when a full-precision base is wanted, and
    ``overrides`` change values of a run's recipe. ``beside`` is a run that is under way: its
    device and its place among the processes are shared, and nothing is seeded.
    """
    folder = Path(where)
    finished = (folder / RESOLVED).is_file()
    if finished:
        if not (folder / RESULT).is_dir():
            raise InputError(
                "this run has no result yet", where=where, hint=f"finish it with: ft resume {where}"
            )
        recipe = read_recipe(folder / RESOLVED, overrides)
        root = {k: v for k, v in recipe.root.value.items() if k in MODEL_KEYS - set(leave_out)}
        recipe = Recipe(recipe.path, recipe.text, Node(root, recipe.root.place))
    else:
        place = "the command line"
        recipe = Recipe(Path(place), "", Node.of({MODEL: {"source": where}}, place))
    resolved = resolve(recipe, index, progress=progress, required=(MODEL,))
    run = start(resolved, progress)
    run.selection = Selection([*resolved.selection.all(), *plugins], DEFAULTS)
    run.folder = folder
    if beside is None:
        start_process(run, device or resolved.device)
    else:
        run.device, run.process = beside.device, beside.process
    load_config(run)
    load_processor(run)
    settle_template(run, resolved)
    return run
