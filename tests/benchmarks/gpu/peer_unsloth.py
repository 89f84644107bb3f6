"""The work through Unsloth, as its notebooks do it.

``settings`` has three groups: ``model`` for ``FastLanguageModel.from_pretrained``, ``adapter``
for ``get_peft_model`` and ``trainer`` for ``SFTConfig``. Full fine-tuning asks for it in the
first.
"""

from __future__ import annotations

import os

import work
from work import Steps, Work

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def train(job: Work, steps: Steps) -> None:
    """One run; trained on is the whole text, which its fused loss computes in any case."""
    os.environ.update(UNSLOTH_DISABLE_STATISTICS="1", UNSLOTH_DISABLE_AUTO_UPDATES="1")
    # before anything that it patches
    from unsloth import FastLanguageModel  # isort: skip

    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = FastLanguageModel.from_pretrained(
        job.model,
        **{
            "max_seq_length": job.max_length,
            "dtype": torch.bfloat16,
            "load_in_4bit": False,
            "full_finetuning": job.method == "full",
            **job.settings.get("model", {}),
        },
    )
    if job.method == "lora":
        model = FastLanguageModel.get_peft_model(
            model,
            **{
                "r": work.RANK,
                "lora_alpha": work.ALPHA,
                "lora_dropout": 0,
                "target_modules": LAYERS,
                "use_gradient_checkpointing": "unsloth",
                **job.settings.get("adapter", {}),
            },
        )
    texts = [tokenizer.apply_chat_template(talk, tokenize=False) for talk in job.conversations()]
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"text": text} for text in texts]),
        args=SFTConfig(
            **{
                "output_dir": job.scratch,
                "dataset_text_field": "text",
                "per_device_train_batch_size": job.batch_size,
                "max_length": job.max_length,
                "max_steps": job.steps,
                "learning_rate": work.LEARNING_RATE,
                "bf16": True,
                "logging_steps": 1,
                "save_strategy": "no",
                "report_to": "none",
                **job.settings.get("trainer", {}),
            }
        ),
    )
    trainer.add_callback(work.watch(type(trainer), steps))
    trainer.train()


if __name__ == "__main__":
    work.run(train)
