"""The work through TRL's ``SFTTrainer``.

``settings`` are options of its ``SFTConfig``; those under ``model`` go to ``from_pretrained``.
"""

from __future__ import annotations

import work
from work import Steps, Work


def train(job: Work, steps: Steps) -> None:
    """One run; trained on are the answers alone."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    settings = dict(job.settings)
    loading = {"dtype": "bfloat16", **settings.pop("model", {})}
    trainer = SFTTrainer(
        model=job.model,
        args=SFTConfig(
            **{
                "output_dir": job.scratch,
                "per_device_train_batch_size": job.batch_size,
                # without padding it takes no limit; no row here comes near it
                "max_length": None if settings.get("padding_free") else job.max_length,
                "max_steps": job.steps,
                "learning_rate": work.LEARNING_RATE,
                "bf16": True,
                "logging_steps": 1,
                "save_strategy": "no",
                "report_to": "none",
                "model_init_kwargs": loading,
                **settings,
            }
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": talk[:1], "completion": talk[1:]} for talk in job.conversations()]
        ),
        peft_config=LoraConfig(
            r=work.RANK,
            lora_alpha=work.ALPHA,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        if job.method == "lora"
        else None,
    )
    trainer.add_callback(work.watch(type(trainer), steps))
    trainer.train()


if __name__ == "__main__":
    work.run(train)
