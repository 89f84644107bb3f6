"""Rewards from a trained reward model (Ouyang et al., 2022, arXiv:2203.02155)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft.api import (
    Capabilities,
    Conversation,
    Encoded,
    Field,
    InputError,
    Reward,
    RewardOptions,
    Run,
    hookimpl,
)
from ft.api.heads import apply_head, last_states
from ft_reward_reward_model.sample import tiny_judge

if TYPE_CHECKING:
    from torch import Tensor, nn

HEAD = "score"
ADAPTER = "reward"
CLASSIFIER = "AutoModelForSequenceClassification"


class RewardModel(Reward):
    """Scores an answer with a model that was trained to judge.

    ``model`` is the folder of a finished run with trainer `reward`, or a checkpoint for sequence
    classification with one label, as reward models are published. The conversation is rendered
    with the judge's own chat template.

    With ``share_base`` only the adapter and the head of such a run are loaded, onto the base of
    the model that trains: no second model is in memory. The base has to be the same one.
    """

    paper = "arXiv:2203.02155"

    class Options(RewardOptions):
        model: str = Field(description="folder of a finished run, or a checkpoint")
        share_base: bool = Field(
            False, description="load the adapter of a finished run onto the base that trains"
        )
        batch_size: int = Field(8, gt=0, description="answers judged together")

    samples = ({"model": tiny_judge},)

    judge: Run
    head: Any = None

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(needs={"switchable-adapter"}) if self.options.share_base else said

    @hookimpl
    def ft_add_modules(self, run: Run) -> None:
        if self.options.share_base:
            folder = Path(self.options.model) / "result"
            self.head = self._read_head(run, folder)
            run.add_adapter(ADAPTER, folder)
            self.judge = run
            return
        finished = (Path(self.options.model) / "result").is_dir()
        self.judge = run.open_model(
            self.options.model,
            same_vocabulary=False,
            auto_class=None if finished else CLASSIFIER,
        )
        if finished:
            self.head = self.judge.modules.get(HEAD)
            if self.head is None:
                raise self._no_head()
            return
        labels = getattr(self.judge.config, "num_labels", None)
        if labels != 1:
            raise InputError(
                f"it has {labels} labels, and a reward model has one",
                where=self.options.model,
                hint="choose a checkpoint for sequence classification with one label, or the "
                "folder of a run with trainer: reward",
            )

    def _read_head(self, run: Run, folder: Path) -> nn.Module:
        import torch
        from safetensors.torch import load_file

        file = folder / f"{HEAD}.safetensors"
        if not file.is_file():
            raise self._no_head()
        tensors = load_file(file, device=str(run.device))
        outputs, width = tensors["weight"].shape
        head = torch.nn.Linear(width, outputs, bias="bias" in tensors)
        head.load_state_dict(tensors)
        return head.to(run.device).requires_grad_(False)

    def _no_head(self) -> InputError:
        return InputError(
            f"it has no {HEAD}.safetensors in its result, so it is no reward model",
            where=self.options.model,
            hint="train one with trainer: reward",
        )

    @hookimpl
    def ft_score(self, run: Run, conversations: Sequence[Conversation]) -> list[float]:
        import torch

        rows = self.judge.tokenize([self.judge.render(one) for one in conversations])
        # answers of like length together: the longest of a batch is what all are padded to
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        scores = [0.0] * len(rows)
        size = self.options.batch_size
        model = self.judge.model
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                for start in range(0, len(order), size):
                    chosen = order[start : start + size]
                    found = self._judge([rows[i] for i in chosen]).float().tolist()
                    for i, score in zip(chosen, found, strict=True):
                        scores[i] = score
        finally:
            model.train(training)
        return scores

    def _judge(self, rows: Sequence[Encoded]) -> Tensor:
        """The scores of some sequences, of shape (rows,)."""
        batch = self.judge.to_device(self.judge.collate(rows))
        model = self.judge.model
        if self.options.share_base:
            with self.judge.use_adapter(ADAPTER):
                return apply_head(self.head, last_states(self.judge, model, batch))[:, 0]
        if self.head is not None:
            return apply_head(self.head, last_states(self.judge, model, batch))[:, 0]
        # transformers reads the score at the last token that is not this one
        config: Any = model.config
        if config.pad_token_id is None:
            config.pad_token_id = self.judge.pad_id
        padding = batch["attention_mask"] == 0
        batch["input_ids"] = batch["input_ids"].masked_fill(padding, config.pad_token_id)
        scores: Tensor = self.judge.forward(model, batch).logits[:, 0]
        return scores


reward = RewardModel()
