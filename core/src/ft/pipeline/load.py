"""Load the configuration, the processor and the base model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ft.pipeline.device import choose_weight_dtype

if TYPE_CHECKING:
    from torch import nn

    from ft.api import Run


def load_config(run: Run) -> None:
    """Read the configuration and let the selected plugins change it."""
    run.config = run.hook.ft_load_config(run=run, folder=run.model_folder)
    run.hook.ft_patch_config(run=run, config=run.config)


def load_processor(run: Run) -> None:
    """Load the tokenizer, or the processor with its tokenizer."""
    run.processor = run.hook.ft_load_processor(run=run, folder=run.model_folder)
    run.tokenizer = getattr(run.processor, "tokenizer", run.processor)
    special = run.tokenizer.special_tokens_map
    run.template_variables = {k: v for k, v in special.items() if isinstance(v, str)}


def load_base(run: Run) -> nn.Module:
    """The base model, freshly loaded, patched, and prepared where it is quantized."""
    run.weight_dtype = choose_weight_dtype(run)
    quantization = run.hook.ft_quantization_config(run=run, config=run.config)
    model = run.hook.ft_load_model(
        run=run, folder=run.model_folder, config=run.config, quantization=quantization
    )
    run.hook.ft_patch_model(run=run, model=model)
    run.hook.ft_prepare_model(run=run, model=model)
    return model


def adapt(run: Run) -> None:
    """Decide what trains, and add the modules that train beside the model."""
    run.model = run.hook.ft_adapt_model(run=run, model=load_base(run))
    for modules in run.hook.ft_add_modules(run=run, model=run.model):
        run.modules.update({name: module.to(run.device) for name, module in modules.items()})
    run.trained_names = frozenset(
        name for name, parameter in run.trainable() if parameter.requires_grad
    )
