"""PaliGemma (Beyer et al., 2024, arXiv:2407.07726) and 2 (Steiner et al., 2024, arXiv:2412.03555).

A model that is made to be fine-tuned, on one kind of question. What stands before the first token
that is trained on is a prefix, of which each token sees every other; what follows sees what stands
before it. A format of chats, with system text say, it does not have. In a packed sequence the
prefixes of all documents would see each other, so rows are not packed.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, Encoded, ModelFamily, Template, hookimpl

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


class Questions(Template):
    """Questions and answers, without system text."""

    provides = Template.provides - {"system-text"}


template = Questions((Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"))


class PaliGemma(ModelFamily):
    """Tells the prefix of a row, type 0, from what the model writes, type 1."""

    @hookimpl
    def ft_load_processor(self, folder: Path) -> Any:
        return _processor().from_pretrained(folder)

    @hookimpl(wrapper=True)
    def ft_tokenize(self) -> Generator[None, list[Encoded], list[Encoded]]:
        rows = yield
        for row in rows:
            prefix = next((i for i, weight in enumerate(row.weights) if weight), len(row))
            row.per_token["token_type_ids"] = [0] * prefix + [1] * (len(row) - prefix)
        return rows

    @hookimpl
    def ft_patch_model(self, model: nn.Module) -> None:
        # without a mask, as plain text of one length has none, the attention of transformers (5.23)
        # takes this for its word, and each token sees those behind it
        for module in model.model.language_model.modules():  # type: ignore[union-attr]
            if hasattr(module, "is_causal"):
                module.is_causal = True

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        vision = config.vision_config
        config.image_token_index = tokenizer.image_token_id
        image_processor = transformers.SiglipImageProcessorPil(
            size={"height": vision.image_size, "width": vision.image_size},
            image_seq_length=config.text_config.num_image_tokens,
        )
        return _processor()(image_processor, tokenizer, chat_template=tokenizer.chat_template)


def _processor() -> Any:
    """PaliGemma's processor for a text that is written as the model reads it.

    The original puts begin-of-text and a newline into a prompt, and labels beside its tokens. The
    class has the name of the original, which is what loads where it was saved.
    """
    from transformers import PaliGemmaProcessor, ProcessorMixin

    class Processor(PaliGemmaProcessor):
        def prepare_inputs_layout(self, *given: Any, **named: Any) -> Any:
            return ProcessorMixin.prepare_inputs_layout(self, *given, **named)

        def __call__(self, *given: Any, **named: Any) -> Any:
            out = super().__call__(*given, **named)
            out.pop("labels")
            return out

        @property
        def model_input_names(self) -> list[str]:
            # plain text has no prefix: its types are left out
            return [name for name in super().model_input_names if name != "token_type_ids"]

    Processor.__name__ = Processor.__qualname__ = "PaliGemmaProcessor"
    return Processor


def _checkpoints() -> tuple[Checkpoint, ...]:
    sizes = {
        "paligemma-3b": ("pt-224", "pt-448", "pt-896", "mix-224", "mix-448"),
        "paligemma2-3b": ("pt-224", "pt-448", "pt-896", "mix-224", "mix-448", "ft-docci-448"),
        "paligemma2-10b": ("pt-224", "pt-448", "pt-896", "mix-224", "mix-448", "ft-docci-448"),
        "paligemma2-28b": ("pt-224", "pt-448", "pt-896", "mix-224", "mix-448"),
    }
    return tuple(
        Checkpoint(
            f"google/{model}-{kind}",
            parameters=model.rpartition("-")[2].upper(),
            base=kind.startswith("pt"),
        )
        for model, kinds in sizes.items()
        for kind in kinds
    )


family = PaliGemma(
    title="PaliGemma",
    vendor="Google",
    model_types=("paligemma",),
    templates="paligemma",
    checkpoints=_checkpoints(),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "paligemma": {
            # the processor adds 1152 tokens of places and shapes
            "text_config": {"model_type": "gemma", **TINY, "vocab_size": 2048},
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "vision_use_head": False,
            },
            "projection_dim": TINY["hidden_size"],
            "hidden_size": TINY["hidden_size"],
            "vocab_size": 2048,
        }
    },
    media_tokens={"image_token": "<image>"},
    accepts=("images",),
)
