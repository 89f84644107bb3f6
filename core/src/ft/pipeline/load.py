"""Load the configuration, the processor and the base model."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from ft.api import InputError
from ft.data.render import agrees
from ft.pipeline.device import choose_weight_dtype
from ft.pipeline.merged import base_folder
from ft.pipeline.positions import scale_positions, warn_of_length
from ft.pipeline.vocabulary import grow_embeddings, grow_tokenizer, require_new_tokens_train
from ft.plugins.selection import Selection

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

    from ft.api import Run
    from ft.recipe.resolved import Resolved


def load_config(run: Run) -> None:
    """Read the configuration and let the selected plugins change it."""
    run.config = patched_config(run, run.model_folder)
    warn_of_length(run)


def patched_config(run: Run, folder: Path) -> PretrainedConfig:
    """The configuration in ``folder`` as the selected plugins want it."""
    config = run.hook.ft_load_config(run=run, folder=folder)
    options = run.family.options
    if options.position_scaling is not None:
        scale_positions(config, options.position_scaling, options.position_factor)
    run.hook.ft_patch_config(run=run, config=config)
    return config


def load_processor(run: Run) -> None:
    """Load the tokenizer, or the processor with its tokenizer."""
    run.processor = run.hook.ft_load_processor(run=run, folder=run.model_folder)
    run.tokenizer = getattr(run.processor, "tokenizer", run.processor)
    if run.family.options.new_tokens:
        grow_tokenizer(run)
    special = run.tokenizer.special_tokens_map
    run.template_variables = {k: v for k, v in special.items() if isinstance(v, str)}


def settle_template(run: Run, resolved: Resolved) -> None:
    """Choose the template that renders as the checkpoint's own does.

    Of a family's templates the first that does so is taken; where none does, the checkpoint's
    own. One that the recipe names stays, with a warning where it differs.
    """
    template = run.part("template")
    if template is None:
        return
    differences = [agrees(run, choice) for choice in resolved.template_choices]
    if True in differences:
        chosen = resolved.template_choices[differences.index(True)]
        if chosen is not template:
            run.selection = run.selection.replaced(template, chosen)
            resolved.replace_part("template", chosen.name, "inferred from the checkpoint's own")
    elif resolved.is_inferred("template"):
        run.selection.leave_out(template)
        run.template_variables.update(template.options.variables)
        resolved.replace_part("template", None, f"{template!r} differs from the checkpoint's own")
        run.progress.warn(
            f"the checkpoint's own chat template is used in place of {template!r}: {differences[0]}"
        )
    else:
        run.progress.warn(
            f"{template!r} is not the checkpoint's own chat template: {differences[0]}; serve the "
            "result with the template that is saved beside it"
        )
    if resolved.is_inferred("template"):
        name = run.part("template").name if run.part("template") else "the checkpoint's own"
        run.progress.say(f"template: {name}")


def load_base(run: Run, folder: Path | None = None, *, quantized: bool = True) -> nn.Module:
    """The base model, freshly loaded, patched, and prepared where it is quantized.

    With ``folder`` the whole model there, which may have another architecture than the base.
    """
    if folder is None and run.base is not None:
        given, run.base = run.base, None
        return given
    if not quantized:
        run = copy.copy(run)
        others = [plugin for plugin in run.parts() if plugin.kind != "quantizer"]
        run.selection = Selection(others, run.selection.defaults)
    run.weight_dtype = choose_weight_dtype(run)
    config = run.config if folder is None else patched_config(run, folder)
    quantization = run.hook.ft_quantization_config(run=run, config=config)
    loaded = run.progress.track("loading the model", 1)
    model = run.hook.ft_load_model(
        run=run, folder=folder or base_folder(run), config=config, quantization=quantization
    )
    options = run.family.options
    if folder is None and (options.new_tokens or options.vocabulary_multiple):
        grow_embeddings(run, model)
    run.hook.ft_patch_model(run=run, model=model)
    quantizer = run.part("quantizer")
    if quantizer is None or not run.full_precision:
        run.hook.ft_prepare_model(run=run, model=model)
    elif not run.hook.ft_dequantize_model(run=run, model=model):
        raise InputError(
            f"the weights of this checkpoint are quantized, and quantizer {quantizer.name} cannot "
            "give them back in full precision",
            where=str(run.model_folder),
            hint="serve base and adapter apart",
        )
    loaded(1)
    return model


def adapt(run: Run) -> None:
    """Decide what trains, and add the modules that train beside the model."""
    run.model = run.hook.ft_adapt_model(run=run, model=load_base(run))
    for modules in run.hook.ft_add_modules(run=run, model=run.model):
        run.modules.update({name: module.to(run.device) for name, module in modules.items()})
    run.hook.ft_patch_trained(run=run, model=run.model)
    run.trained_names = frozenset(
        name for name, parameter in run.trainable() if parameter.requires_grad
    )
    if not run.trained_names:
        raise InputError("nothing trains: the adapter leaves every parameter frozen")
    require_new_tokens_train(run)
