"""Core's own hooks, asked after every plugin: what happens when nobody has a better idea."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    Batch,
    Conversation,
    Encoded,
    InputError,
    Message,
    OwnLayers,
    Rendered,
    Run,
    TokenLosses,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig

WEIGHT_FILES = ("*.safetensors", "*.bin", "*.pt")


class Defaults:
    """The plugin behind all plugins. It names no model, no method and no vendor."""

    # -- load ------------------------------------------------------------------------------

    @hookimpl
    def ft_load_config(self, run: Run, folder: Path) -> PretrainedConfig:
        from transformers import AutoConfig, PretrainedConfig

        options = run.family.options
        config: PretrainedConfig
        try:
            model_type = PretrainedConfig.get_config_dict(folder)[0].get("model_type", "")
            if own := run.family.classes(model_type):
                config = own[0].from_pretrained(folder)
            else:
                config = AutoConfig.from_pretrained(folder, trust_remote_code=_trusts(run, folder))
        except (OSError, ValueError) as error:
            raise InputError(
                f"the configuration cannot be read: {str(error).splitlines()[0]}",
                where=str(folder),
                hint="an architecture with code of its own needs model.trust_remote_code: true; a "
                "new one may need a newer transformers",
            ) from error
        if options.attention != "auto":
            # here rather than on load, so that a kernel's ft_patch_config has the last word
            config._attn_implementation = options.attention
        return config

    @hookimpl
    def ft_load_processor(self, run: Run, folder: Path) -> Any:
        from transformers import AutoProcessor, AutoTokenizer

        multimodal = any(
            (folder / name).exists()
            for name in ("processor_config.json", "preprocessor_config.json")
        )
        loader = AutoProcessor if multimodal else AutoTokenizer
        try:
            return loader.from_pretrained(
                folder,
                trust_remote_code=_trusts(run, folder),
                **(run.family.processor_options if multimodal else {}),
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"no tokenizer could be loaded: {str(error).splitlines()[0]}", where=str(folder)
            ) from error

    @hookimpl
    def ft_load_model(
        self, run: Run, folder: Path, config: PretrainedConfig, quantization: Any | None
    ) -> nn.Module:
        if run.random_weights:
            return build_model(run, folder, config)
        if not any(any(folder.glob(pattern)) for pattern in WEIGHT_FILES):
            raise InputError(
                f"no weights here: none of {', '.join(WEIGHT_FILES)}",
                where=str(folder),
                hint="give a folder with weights, or set model.random_weights: true to start "
                "from scratch",
            )
        model, found = _load(run, folder, config, quantization)
        if mismatched := sorted(str(name) for name, *_ in found["mismatched_keys"]):
            raise InputError(
                f"config.json and the weights disagree on the size of {mismatched[0]}",
                where=str(folder),
                hint="use the config.json that was saved with these weights",
            )
        if missing := sorted(found["missing_keys"]):
            if isinstance(quantization, OwnLayers):
                raise InputError(
                    f"the checkpoint lacks {missing[0]}, so its quantized weights cannot be read",
                    where=str(folder),
                    hint="fetch the checkpoint again",
                )
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            run.progress.warn(
                f"{folder}: the checkpoint lacks {', '.join(missing[:3])}{more}; these weights "
                "start at random"
            )
        return model

    # -- adapt -----------------------------------------------------------------------------

    @hookimpl
    def ft_adapt_model(self, model: nn.Module) -> nn.Module:
        return model

    @hookimpl
    def ft_wrap_model(self, model: nn.Module) -> nn.Module:
        return model

    # -- data ------------------------------------------------------------------------------

    @hookimpl
    def ft_render(self, run: Run, conversation: Conversation, generation_prompt: bool) -> Rendered:
        from ft.data.render import default_render

        return default_render(run, conversation, generation_prompt)

    @hookimpl
    def ft_parse_answer(self, text: str) -> Message:
        return Message("assistant", text)

    @hookimpl
    def ft_tokenize(self, run: Run, rendered: Sequence[Rendered]) -> list[Encoded]:
        from ft.data.tokenize import tokenize

        return tokenize(run, rendered)

    @hookimpl
    def ft_collate(self, run: Run, rows: Sequence[Any]) -> Batch:
        from ft.data.collate import collate

        return collate(run, rows)

    # -- train -----------------------------------------------------------------------------

    @hookimpl
    def ft_train(self, run: Run, model: nn.Module) -> bool:
        from ft.training.loop import train

        train(run, model)
        return True

    @hookimpl
    def ft_make_batches(self, batches: list[Batch]) -> list[list[Batch]]:
        return [batches]

    @hookimpl
    def ft_count_units(self, batch: Batch) -> float:
        return float(batch["weights"].sum())

    @hookimpl
    def ft_forward_arguments(self) -> Mapping[str, Any]:
        # a key-value cache would be filled and thrown away
        return {"use_cache": False}

    @hookimpl
    def ft_token_losses(
        self, run: Run, model: nn.Module, batch: Batch, label_smoothing: float
    ) -> TokenLosses:
        from ft.training.losses import token_losses

        return token_losses(run, model, batch, label_smoothing)

    @hookimpl
    def ft_sum(self, value: Any) -> Any:
        return value

    # -- state and result --------------------------------------------------------------------

    @hookimpl
    def ft_checkpoint_state(self, run: Run) -> Mapping[str, Tensor]:
        return {name: tensor.detach() for name, tensor in _kept(run)}

    @hookimpl
    def ft_restore_state(self, run: Run, tensors: Mapping[str, Tensor]) -> bool:
        import torch

        parameters = dict(_kept(run))
        if parameters.keys() != tensors.keys():
            odd = sorted(parameters.keys() ^ tensors.keys())
            raise InputError(
                f"the checkpoint trains other parameters than this recipe: {odd[0]}"
                + (f" and {len(odd) - 1} more differ" if len(odd) > 1 else " differs")
            )
        with torch.no_grad():
            for name, tensor in tensors.items():
                parameters[name].copy_(tensor)
        return True

    @hookimpl
    def ft_save_model(self, run: Run, model: nn.Module, folder: Path) -> bool:
        if run.process.is_main:
            model.save_pretrained(folder)  # type: ignore[operator]
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        return run.load_base(folder)

    @hookimpl
    def ft_merge_model(self, model: nn.Module) -> nn.Module:
        return model


def _kept(run: Run) -> Iterator[tuple[str, Tensor]]:
    """What a checkpoint keeps: parameters that train, and the buffers of modules beside them."""
    yield from run.trainable()
    for prefix, module in run.modules.items():
        persistent = module.state_dict().keys()
        for name, buffer in module.named_buffers():
            if name in persistent:
                yield f"{prefix}.{name}", buffer


def _model_class(run: Run, config: PretrainedConfig) -> Any:
    """The class that builds a model: the family's own, or one of transformers' Auto classes."""
    import transformers

    if own := run.family.classes(config.model_type):
        return own[1]
    return getattr(transformers, run.family.auto_class_for(config.model_type))


def build_model(run: Run, folder: Path, config: PretrainedConfig) -> nn.Module:
    """A model with fresh weights."""
    from transformers import PreTrainedModel

    model_class = _model_class(run, config)
    try:
        if issubclass(model_class, PreTrainedModel):
            model = model_class._from_config(config, dtype=run.weight_dtype)
        else:
            model = model_class.from_config(
                config,
                dtype=run.weight_dtype,
                trust_remote_code=_trusts(run, folder),
            )
    except ValueError as error:
        raise InputError(
            f"the model cannot be built: {str(error).splitlines()[0]}", where=str(folder)
        ) from error
    return model.to(run.device)


def _trusts(run: Run, folder: Path) -> bool:
    """Whether code of the checkpoint is run: the recipe asks for it, and the policy permits it."""
    asked: bool = run.family.options.trust_remote_code
    if asked:
        run.permit("trust-remote-code", "model.trust_remote_code", str(folder))
    return asked


def _safetensors(run: Run, folder: Path) -> dict[str, Any]:
    """Settings by which safetensors are read and nothing else, where a checkpoint has them.

    Without them the weights are pickles, which the policy has to permit.
    """
    if any(folder.glob("model*.safetensors")):
        return {"use_safetensors": True}
    if any(any(folder.glob(pattern)) for pattern in ("*.bin", "*.pt")):
        run.permit("pickled-weights", "a checkpoint without safetensors", str(folder))
    return {}


def _load(
    run: Run, folder: Path, config: PretrainedConfig, quantization: Any | None
) -> tuple[nn.Module, Mapping[str, Any]]:
    """A model with the weights of a folder, and what was found odd about them."""
    from safetensors import SafetensorError

    settings = _safetensors(run, folder)
    if isinstance(quantization, OwnLayers):
        from ft.pipeline.stored import placing

        settings["quantization_config"] = placing(folder, quantization)
    elif quantization is not None:
        settings["quantization_config"] = quantization
    if _trusts(run, folder):
        settings["trust_remote_code"] = True
    try:
        return _model_class(run, config).from_pretrained(
            folder,
            config=config,
            dtype=run.weight_dtype,
            device_map={"": run.device} if run.device.type != "cpu" else None,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that the caller can name them
            **settings,
        )
    except SafetensorError as error:
        raise InputError(
            f"a weights file is damaged or cut off ({error})",
            where=str(folder),
            hint="fetch the checkpoint again",
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"the weights cannot be loaded: {str(error).splitlines()[0]}", where=str(folder)
        ) from error
    except RuntimeError as error:
        # raised where tensors that transformers fuses are not all there; its log names them
        if "conversion of the weights" not in str(error):
            raise
        raise InputError(
            "the checkpoint lacks weights, or has some that do not fit together",
            where=str(folder),
            hint="fetch the checkpoint again",
        ) from error


DEFAULTS = Defaults()
