"""Llama 3.2 Vision (Grattafiori et al., 2024, arXiv:2407.21783): images by cross-attention.

Some layers look at the tiles of the images that stand before a token; the others are those of Llama
3.1. The tiles of all rows of a batch are padded to the most images, so that rows are not packed. A
conversation with images has no place for system text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, InputError, ModelFamily, hookimpl
from ft_template_llama3 import WithTools

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig

_MEDIA = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask")

template = WithTools(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|eot_id|>",),
    # a model that was trained from Llama 3.2 Vision and has its format
    published=("atomgptlab/microscopy_gpt_llama3.2_vision_11b",),
)


class Mllama(ModelFamily):
    """Rows of text and of images in one batch.

    transformers (5.23) takes media for each row or for none, and has tokens that stand before all
    images look at everything, at the zeros that fill up a batch as well. Here rows of text get
    such zeros, and a token without an image before it passes by the layers that look, as in the
    original.
    """

    @hookimpl
    def ft_patch_model(self, model: nn.Module) -> None:
        model.register_forward_pre_hook(_with_media_for_each_row, with_kwargs=True)
        for module in model.modules():
            if hasattr(module, "cross_attn_attn_gate"):
                module.register_forward_hook(_past_tokens_without_image, with_kwargs=True)

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.image_token_index = tokenizer.image_token_id
        vision = config.vision_config
        return transformers.MllamaProcessor(
            image_processor=transformers.MllamaImageProcessorPil(
                size={"height": vision.image_size, "width": vision.image_size},
                max_image_tiles=vision.max_num_tiles,
            ),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template,
        )


def _with_media_for_each_row(model: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Give rows of text tiles of zeros, and masks the length of the text."""
    import torch

    ids, pixels = kwargs.get("input_ids"), kwargs.get("pixel_values")
    if ids is None or pixels is None:
        return args, kwargs
    places = (ids == model.config.image_token_index).sum(dim=1)
    rows = places.nonzero()[:, 0]
    given = (kwargs["aspect_ratio_ids"] > 0).sum(dim=1)
    if not torch.equal(places[rows], given):
        raise InputError(
            f"rows have {places[rows].tolist()} places for images and {given.tolist()} images"
        )
    length = ids.shape[1] - kwargs["cross_attention_mask"].shape[1]
    mask = kwargs["cross_attention_mask"]
    kwargs["cross_attention_mask"] = torch.nn.functional.pad(mask, (0, 0, 0, 0, 0, length))
    if len(rows) < len(ids):
        for name in _MEDIA:
            whole = kwargs[name].new_zeros((len(ids), *kwargs[name].shape[1:]))
            kwargs[name] = whole.index_copy(0, rows, kwargs[name])
    return args, kwargs


def _past_tokens_without_image(_: Any, args: Any, kwargs: dict[str, Any], output: Tensor) -> Tensor:
    looks = kwargs.get("full_text_row_masked_out_mask")
    return output if looks is None else output.where(looks[:, 0] > 0, args[0])


family = Mllama(
    title="Llama 3.2 Vision",
    vendor="Meta",
    model_types=("mllama",),
    templates="llama3-2-vision",
    checkpoints=(
        Checkpoint("meta-llama/Llama-3.2-11B-Vision", parameters="11B", base=True),
        Checkpoint("meta-llama/Llama-3.2-90B-Vision", parameters="90B", base=True),
        Checkpoint("meta-llama/Llama-3.2-11B-Vision-Instruct", parameters="11B"),
        Checkpoint("meta-llama/Llama-3.2-90B-Vision-Instruct", parameters="90B"),
    ),
    auto_class="AutoModelForImageTextToText",
    groups={
        "vision": "model.vision_model",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "mllama": {
            "text_config": {**TINY, "num_hidden_layers": 3, "cross_attention_layers": [1]},
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_global_layers": 1,
                "attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "intermediate_layers_indices": [0],
                "vision_output_dim": 64,
            },
        }
    },
    media_tokens={"image_token": "<|image|>"},
    padded_media=_MEDIA,
    accepts=("images",),
    # layers that look and layers that do not are of two classes
    provides=("linear-layers",),
)
