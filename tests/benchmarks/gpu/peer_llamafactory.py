"""The work through LLaMA-Factory's own training entry.

``settings`` are keys of its recipe, such as ``packing`` or ``enable_liger_kernel``. One is not:
``sketched_galore`` has GaLore's projections found by torch's randomised decomposition, since
the exact one of 7 billion weights takes longer than a run may; steps between are the same.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import work
from work import Steps, Work


def sketch_galore() -> None:
    """Replace the decomposition of ``galore_torch`` by one of a random range."""
    import torch

    exact, directions = torch.linalg.svd, 136

    def svd(matrix: torch.Tensor, full_matrices: bool = False) -> tuple[torch.Tensor, ...]:
        if min(matrix.shape) <= directions:
            return exact(matrix, full_matrices=full_matrices)
        left, sizes, right = torch.svd_lowrank(matrix, q=directions)
        return left, sizes, right.T

    torch.linalg.svd = svd


def train(job: Work, steps: Steps) -> None:
    """One run, as ``llamafactory-cli train`` does it in one process."""
    # it pins versions far below those that it works with
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    data = Path(job.scratch) / "data"
    data.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(job.data) / work.ROWS, data)
    (data / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": work.ROWS}}))

    settings = dict(job.settings)
    if settings.pop("sketched_galore", False):
        sketch_galore()

    from llamafactory.train.tuner import run_exp
    from transformers import Trainer

    method = {"finetuning_type": job.method}
    if job.method == "lora":
        method |= {"lora_rank": work.RANK, "lora_alpha": work.ALPHA, "lora_target": "all"}
    run_exp(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": job.model,
            "template": "smollm2",
            **method,
            "dataset_dir": str(data),
            "dataset": "rows",
            "cutoff_len": job.max_length,
            "overwrite_cache": True,
            "preprocessing_num_workers": 4,
            "per_device_train_batch_size": job.batch_size,
            "gradient_accumulation_steps": 1,
            "learning_rate": work.LEARNING_RATE,
            "max_steps": job.steps,
            "bf16": True,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "output_dir": str(Path(job.scratch) / "out"),
            **settings,
        },
        callbacks=[work.watch(Trainer, steps)],
    )


if __name__ == "__main__":
    work.run(train)
