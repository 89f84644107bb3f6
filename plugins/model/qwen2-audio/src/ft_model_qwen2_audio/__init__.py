"""Qwen2-Audio (Chu et al., 2024, arXiv:2407.10759): Whisper's encoder in front of a Qwen model.

The model hears 30 seconds of a clip, and a longer one is refused. A file of another sampling rate
is resampled to the model's 16 kHz, and several channels are averaged.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import TINY, Checkpoint, ModelFamily, Template

if TYPE_CHECKING:
    from transformers import PretrainedConfig

template = Template(
    (Path(__file__).parent / "chat.jinja").read_text(encoding="utf-8"),
    stop=("<|im_end|>",),
    published=("Qwen/Qwen2-Audio-7B-Instruct",),
)


class Qwen2Audio(ModelFamily):
    """Pads each clip to the one length that its encoder takes."""

    def tiny_processor(self, config: PretrainedConfig, tokenizer: Any) -> Any:
        import transformers

        config.audio_token_index = tokenizer.audio_token_id
        return transformers.Qwen2AudioProcessor(
            # one second, which the encoder's positions are for
            feature_extractor=transformers.WhisperFeatureExtractor(
                feature_size=config.audio_config.num_mel_bins,
                chunk_length=1,
                hop_length=40,
                n_fft=160,
            ),
            tokenizer=tokenizer,
            chat_template=tokenizer.chat_template,
        )


family = Qwen2Audio(
    title="Qwen2-Audio",
    vendor="Alibaba",
    model_types=("qwen2_audio",),
    templates="qwen2-audio",
    checkpoints=(
        Checkpoint("Qwen/Qwen2-Audio-7B", parameters="7B", base=True),
        Checkpoint("Qwen/Qwen2-Audio-7B-Instruct", parameters="7B"),
    ),
    auto_class="AutoModelForMultimodalLM",
    groups={
        "audio": "model.audio_tower",
        "projector": "model.multi_modal_projector",
        "language": "model.language_model",
    },
    tiny={
        "qwen2_audio": {
            "text_config": {"model_type": "qwen2", **TINY},
            "audio_config": {
                "model_type": "qwen2_audio_encoder",
                "d_model": 32,
                "encoder_layers": 2,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 64,
                "num_mel_bins": 16,
                "max_source_positions": 200,
            },
        }
    },
    media_tokens={
        "audio_token": "<|AUDIO|>",
        "audio_bos_token": "<|audio_bos|>",
        "audio_eos_token": "<|audio_eos|>",
    },
    accepts=("audio",),
)
