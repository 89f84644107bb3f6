"""Kind ``model``: a family of checkpoints that share architecture and chat format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from ft.api._markers import hookimpl
from ft.api.plugin import Plugin, PluginOptions, RecipePath
from ft.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from ft.api.run import Run

TINY: Mapping[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 512,
    "max_position_embeddings": 512,
}
"""Sizes of a test model, in the names that most configurations share."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published checkpoint of a family.

    ``parameters`` is the size as people write it (``0.6B``, ``30B-A3B``); ``base`` marks a
    pre-trained model that was not taught to chat.
    """

    id: str
    parameters: str | None = None
    base: bool = False


class ModelOptions(PluginOptions):
    """What a recipe may say of the model beside its source."""

    revision: str | None = Field(None, description="branch, tag or commit of the source")
    merged: list[RecipePath] = Field(
        default_factory=list,
        description="finished runs whose adapters are merged into the model first, in this order",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of the weights in memory; auto follows device and adapter"
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"] = Field(
        "auto", description="attention implementation; auto is the model's own choice"
    )
    trust_remote_code: bool = Field(
        False, description="run Python code that comes with the checkpoint"
    )
    router_loss: bool = Field(
        False, description="add the router's balancing loss of a mixture-of-experts model"
    )
    random_weights: bool = Field(
        False, description="start from random weights: pre-training from scratch"
    )
    position_scaling: Literal["linear", "dynamic", "yarn", "llama3"] | None = Field(
        None, description="scale rotary positions for longer sequences; unset: as the checkpoint"
    )
    position_factor: float = Field(
        2.0, gt=1, description="how many times longer, with position_scaling"
    )
    new_tokens: dict[str, str | None] = Field(
        default_factory=dict,
        description="tokens to add to the vocabulary, each with a description whose mean "
        "embedding it starts from, or null",
    )
    new_tokens_special: bool = Field(
        False, description="whether new tokens are control tokens, left out of generated text"
    )
    vocabulary_multiple: int | None = Field(
        None, gt=0, description="round the vocabulary up to a multiple, such as 64; unset: exact"
    )

    @field_validator("merged")
    @classmethod
    def _are_adapters(cls, folders: list[Any]) -> list[Any]:
        for folder in folders:
            if not ((folder / "resolved.yaml").is_file() and (folder / "result").is_dir()):
                raise ValueError(f"no finished run lies in {folder}")
            if (folder / "result" / "config.json").is_file():
                raise ValueError(
                    f"the result of {folder} is a whole model: give {folder / 'result'} as source"
                )
        return folders


class ModelFamily(Plugin):
    """A model family, mostly data.

    ``model_types`` are the ``model_type`` values of the configurations that it loads;
    ``templates`` name the template plugins that mark what the model writes, of which the
    first that renders as the checkpoint's own template does is taken; ``auto_class`` is
    the transformers class that builds it, or a mapping from model types to classes; ``groups``
    names parts that can be frozen or trained by prefix (``{"vision": "model.visual"}``; the
    longest prefix wins, one that a model type does not have is no part of it);
    ``fused_experts`` are parameter names of experts that live in one tensor; ``tiny`` are
    sizes, by model type, that a small test model needs beside those of :data:`TINY`;
    ``media_tokens`` are the tokens of images, clips and videos by the names that the processor
    has for them (``{"image_token": "<|image_pad|>"}``), which a test tokenizer has as well;
    ``padded_media`` are outputs of the processor that differ in size from row to row
    (``pixel_values``) and are filled up with zeros behind, as it does within a row, where rows
    are batched; ``joined_media`` are those whose rows follow one another along another dimension
    than the first (``{"pixel_values": -1}``).

    ``accepts`` are capabilities that are proved for the family. A new one accepts nothing;
    ``packing`` is for one whose documents in a shared sequence do not see each other.

    Whatever a family needs beyond data, a subclass does: one with modelling code of its own
    names it in :meth:`classes`, one around a known bug overrides :func:`ft_patch_model`.
    """

    kind = "model"
    Options = ModelOptions
    provides = frozenset({"linear-layers", "decoder-layers"})

    def __init__(
        self,
        title: str,
        vendor: str,
        model_types: Sequence[str] = (),
        templates: str | Sequence[str] = (),
        checkpoints: Sequence[Checkpoint] = (),
        auto_class: str | Mapping[str, str] = "AutoModelForCausalLM",
        groups: Mapping[str, str] | None = None,
        fused_experts: Sequence[str] = (),
        processor_options: Mapping[str, Any] | None = None,
        tiny: Mapping[str, Mapping[str, Any]] | None = None,
        media_tokens: Mapping[str, str] | None = None,
        padded_media: Sequence[str] = (),
        joined_media: Mapping[str, int] | None = None,
        accepts: Sequence[str] | None = None,
        provides: Sequence[str] | None = None,
    ):
        self.title = title
        self.vendor = vendor
        self.model_types = tuple(model_types)
        self.templates = (templates,) if isinstance(templates, str) else tuple(templates)
        self.checkpoints = tuple(checkpoints)
        self.auto_class = auto_class
        self.groups = dict(groups or {})
        self.fused_experts = tuple(fused_experts)
        self.processor_options = dict(processor_options or {})
        self.tiny = dict(tiny or {})
        self.media_tokens = dict(media_tokens or {})
        self.padded_media = frozenset(padded_media)
        self.joined_media = dict(joined_media or {})
        if accepts is not None:
            self.accepts = frozenset(accepts)  # type: ignore[misc]
        if provides is not None:
            self.provides = frozenset(provides)  # type: ignore[misc]

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        if self.options.router_loss:
            text = config.get_text_config()
            if not hasattr(text, "router_aux_loss_coef"):
                raise InputError(
                    f"{self.title} has no router loss", hint="leave model.router_loss out"
                )
            text.output_router_logits = True

    @hookimpl
    def ft_extra_loss(self, run: Run, outputs: Any) -> Tensor | None:
        if not self.options.router_loss:
            return None
        return run.config.get_text_config().router_aux_loss_coef * outputs.aux_loss

    def group_of(self, name: str) -> str | None:
        """The part among ``groups`` that a module or parameter of this name belongs to."""
        found = [g for g, prefix in self.groups.items() if f"{name}.".startswith(f"{prefix}.")]
        return max(found, key=lambda group: len(self.groups[group]), default=None)

    def auto_class_for(self, model_type: str) -> str:
        """The name of the transformers class that builds ``model_type``."""
        if isinstance(self.auto_class, str):
            return self.auto_class
        return self.auto_class.get(model_type, "AutoModelForCausalLM")

    def classes(
        self, model_type: str
    ) -> tuple[type[PretrainedConfig], type[PreTrainedModel]] | None:
        """The configuration and model class of an architecture that transformers does not have.

        ``None`` leaves both to transformers' Auto classes. Override it, importing the classes
        inside, and core loads, builds and quantizes the model as it does any other.
        """
        return None

    def tiny_config(self, model_type: str) -> PretrainedConfig:
        """A configuration of this family small enough to train in a test.

        The family's own configuration class with the sizes of :data:`TINY` and of ``tiny``.
        """
        from transformers import AutoConfig

        sizes = {**TINY, **self.tiny.get(model_type, {})}
        if own := self.classes(model_type):
            return own[0](**sizes)
        return AutoConfig.for_model(model_type, **sizes)

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        """The processor of a test checkpoint with ``config``, around ``tokenizer``.

        ``tokenizer`` is a small byte-level one that has the template's control tokens and
        ``media_tokens``. A family that sees or hears sets the ids of its tokens in ``config``
        and returns its processor; one with a tokenizer of its own returns that. A processor
        without a chat template is given the family's.
        """
        return tokenizer
